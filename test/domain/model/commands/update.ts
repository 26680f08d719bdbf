import { create } from "@bufbuild/protobuf";
import { type Session, SessionSchema, UpdateSessionRequestSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { bounds, expiryOf, limitsOf, someName } from "../pool.ts";
import type { Fields } from "../session.ts";
import { actual, expected } from "../shown.ts";
import { answerOf, type Happening } from "../world.ts";

const args = fc.record({
  name: someName,
  paths: fc.subarray(["title", "limits", "expiry", "agent_id"], { minLength: 1 }),
  title: fc.constantFrom("", "trip"),
  agentId: fc.constantFrom("", "writer"),
  bounds,
  etag: fc.constantFrom("none", "none", "right", "stale"),
  isRepeatable: fc.boolean(),
});
type Args = typeof args extends fc.Arbitrary<infer T> ? T : never;

/** UpdateSession of the fields that the model knows, with and without an etag. */
export const updating: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `update ${JSON.stringify(args)}`,
  async run(world, real) {
    const { name, paths, title, agentId } = args;
    const { model } = world;
    const known = model.shown(name);
    const etags = (known && world.etags.get(known.uid)) ?? [];
    const stale = etags.at(-2) ?? "99";
    const etag = { none: "", right: etags.at(-1) ?? "", stale }[args.etag] ?? "";
    const session = create(SessionSchema, {
      ...{ sessionId: name, etag, title, agentId },
      limits: limitsOf(args.bounds),
      expiry: expiryOf(args.bounds),
    });
    const request = create(UpdateSessionRequestSchema, {
      session,
      updateMask: { paths },
      requestId: world.requestId(args.isRepeatable),
    });
    const isStale = known !== undefined && etag !== "" && etag !== etags.at(-1);
    const wanted = isStale ? { refused: "ETAG_MISMATCH" } : model.update(name, changesOf(args));
    const answer = await answerOf(real.domain.sessions.update(request));
    world.remember(
      request,
      answer,
      (again) => real.domain.sessions.update(again),
      (other) => ({ ...other, session: { ...session, title: `${title} and more` } }),
    );
    if ("refused" in wanted || "refused" in answer) {
      expect(answer).toEqual(wanted);
      return;
    }
    expect(actual(answer.session as Session)).toEqual(expected(wanted));
  },
}));

function changesOf({ paths, title, agentId, bounds }: Args): Partial<Fields> {
  const { maxSteps, maxTokens, timeoutMs, ttlMs, idleTtlMs, retentionMs } = bounds;
  return {
    ...(paths.includes("title") && { title }),
    ...(paths.includes("agent_id") && { agentId }),
    // A message is replaced whole.
    ...(paths.includes("limits") && { maxSteps, maxTokens, timeoutMs }),
    ...(paths.includes("expiry") && { ttlMs, idleTtlMs, retentionMs }),
  };
}
