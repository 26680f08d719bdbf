import { create } from "@bufbuild/protobuf";
import { CreateSessionRequestSchema, IfExists, type Session } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { bounds, expiryOf, limitsOf, plainFields, someName } from "../pool.ts";
import { type Fields, hasEnded } from "../session.ts";
import { actual, expected } from "../shown.ts";
import { answerOf, type Happening, type World } from "../world.ts";

const minuteMs = 60_000;

/** What presets fill in where a session does not say otherwise. */
const presets: Readonly<Record<string, Partial<Fields>>> = {
  "": {},
  memory: {},
  conversation: { ttlMs: 24 * 60 * minuteMs },
  managed: { idleTtlMs: 30 * minuteMs },
  terminal: { idleTtlMs: 45 * minuteMs, storesThinking: false },
  execution: { maxSteps: 10, maxTokens: 4_000, timeoutMs: 2 * minuteMs },
};

const args = fc.record({
  name: someName,
  preset: fc.constantFrom("", "", "", ...Object.keys(presets)),
  agentId: fc.constantFrom("", "planner"),
  userId: fc.constantFrom("", "ada"),
  bounds,
  ifExists: fc.constantFrom("UNSPECIFIED", "FAIL", "RETURN", "RENEW", "RENEW"),
  isDeferred: fc.boolean(),
  isRepeatable: fc.boolean(),
  parent: fc.constantFrom("", "", "", "a", "a", "b", "c", "a~1"),
});
type Args = typeof args extends fc.Arbitrary<infer T> ? T : never;

/** CreateSession, also of a child, with every answer to a name that is taken. */
export const creation: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `create ${JSON.stringify(args)}`,
  async run(world, real) {
    const { name, preset, agentId, userId, isDeferred, isRepeatable, parent } = args;
    const request = create(CreateSessionRequestSchema, {
      session: {
        ...{ sessionId: name, preset, agentId, userId },
        limits: limitsOf(args.bounds),
        expiry: expiryOf(args.bounds),
      },
      ifExists: IfExists[args.ifExists as keyof typeof IfExists],
      deferredStart: isDeferred,
      parentSessionId: parent,
      requestId: world.requestId(isRepeatable),
    });
    const wanted = expectedAnswer(world, args);
    const answer = await answerOf(real.domain.sessions.create(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.sessions.create(again),
      (other) => ({ ...other, deferredStart: !other.deferredStart }),
    );
    if ("refused" in wanted || "refused" in answer) {
      expect(answer).toEqual(wanted);
      return;
    }
    const session = answer.session as Session;
    expect(answer.created).toBe(wanted.isCreated);
    const parentUid = world.model.sessions.get(parent)?.uid;
    if (wanted.isCreated) {
      keepEnded(world, name);
      const made = world.model.create(name, fieldsOf(args), { isDeferred, parentUid });
      world.model.sessions.set(name, { ...made, uid: session.uid });
    }
    const shown = world.model.shown(name);
    expect(actual(session)).toEqual(shown && expected(shown));
  },
}));

function expectedAnswer(
  { model }: World,
  { name, ifExists, parent: parentName }: Args,
): { isCreated: boolean } | { refused: string } {
  if (parentName === name) return { refused: "INVALID_FIELD" };
  const parent = model.shown(parentName);
  if (parentName !== "" && parent === undefined) return { refused: "SESSION_NOT_FOUND" };
  const known = model.shown(name);
  const isRenewed = known !== undefined && ifExists === "RENEW" && hasEnded(known);
  if (known === undefined || isRenewed) {
    const isLate = parent !== undefined && hasEnded(parent);
    return isLate ? { refused: "SESSION_ENDED" } : { isCreated: true };
  }
  if (ifExists === "RETURN" || ifExists === "RENEW") {
    const isOther = parent !== undefined && parent.uid !== known.parentUid;
    return isOther ? { refused: "PARENT_MISMATCH" } : { isCreated: false };
  }
  return { refused: "SESSION_ALREADY_EXISTS" };
}

/** An ended session keeps its uid and its log, and gets the first free name behind a taken one. */
function keepEnded({ model }: World, name: string): void {
  const known = model.sessions.get(name);
  if (known === undefined) return;
  let number = 1;
  while (model.sessions.has(`${name}~${number}`)) number++;
  model.rename(name, `${name}~${number}`);
}

function fieldsOf({ preset, agentId, userId, bounds }: Args): Fields {
  const defaults = presets[preset] ?? {};
  return {
    ...plainFields,
    ...defaults,
    ...{ agentId, userId },
    maxSteps: bounds.maxSteps ?? defaults.maxSteps,
    maxTokens: bounds.maxTokens ?? defaults.maxTokens,
    timeoutMs: bounds.timeoutMs ?? defaults.timeoutMs,
    ttlMs: bounds.ttlMs ?? defaults.ttlMs,
    idleTtlMs: bounds.idleTtlMs ?? defaults.idleTtlMs,
    retentionMs: bounds.retentionMs,
  };
}
