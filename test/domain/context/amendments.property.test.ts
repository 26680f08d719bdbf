import type { Event } from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtectedBudgetExceededError } from "../../../src/errors.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import {
  amend,
  compact,
  everything,
  open,
  revert,
  sessionId,
  usages,
} from "./compaction/support.ts";
import { type Append, logs } from "./logs/log.ts";
import { policies } from "./logs/policies.ts";
import { refusalsOf } from "./logs/trials.ts";
import { type DialectName, validators } from "./validators/validators.ts";

/** What may be done to a session between two appends; numbers choose among its calls. */
const deed = fc.record({
  what: fc.constantFrom("nothing", "amend", "amend", "compact", "revert"),
  pick: fc.nat(),
  text: fc.oneof(
    fc.lorem({ maxCount: 40 }).map((query) => JSON.stringify({ query })),
    fc.constantFrom("", "{}", "[1]", "no JSON", '{"n":12345678901234567890}', "null"),
  ),
});

type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

/** The calls of a session, and the arguments that they have by now, read out of its log. */
async function callsOf(domain: TestDomain): Promise<Map<number, Event & { text: string }>> {
  const calls = new Map<number, Event & { text: string }>();
  for (const event of await domain.log(sessionId)) {
    const { payload, revision } = event;
    if (payload.case === "toolCall") {
      calls.set(revision, { ...event, text: payload.value.arguments });
    } else if (payload.case === "amendment") {
      const call = calls.get(payload.value.revision);
      if (call !== undefined) calls.set(call.revision, { ...call, text: payload.value.arguments });
    }
  }
  return calls;
}

async function happen(
  domain: TestDomain,
  { passMs, events }: Append,
  { what, pick, text }: Deed,
): Promise<void> {
  domain.now += passMs;
  await domain.append({ sessionId, events: [...events] });
  await domain.settled();
  if (what === "compact") await compact(domain);
  if (what === "revert") await revert(domain).catch(() => {});
  if (what !== "amend") return;
  const revisions = [...(await callsOf(domain)).keys()];
  const revision = revisions[pick % revisions.length];
  if (revision === undefined) return;
  // What must stay has a share of its own; then nothing changed.
  await amend(domain, revision, text).catch((error: unknown) => {
    if (!(error instanceof ProtectedBudgetExceededError)) throw error;
  });
}

/** Lives sessions, and looks at each after everything that happened. */
async function always(
  look: (domain: TestDomain) => Promise<void>,
  numRuns: number,
): Promise<{ amended: number; compactions: number }> {
  const seen = { amended: 0, compactions: 0 };
  const property = fc.asyncProperty(
    logs({ minLength: 4, maxLength: 40 }),
    policies,
    fc.infiniteStream(deed),
    async (appends, policy, deeds) => {
      await using domain = await openTestDomain();
      await open(domain, policy);
      for (const append of appends) {
        await happen(domain, append, deeds.next().value as Deed);
        await look(domain);
      }
      const { head } = (await domain.store.getSession({ namespace: "default", sessionId })) ?? {};
      seen.amended += head?.context?.amendedCalls.length ?? 0;
      seen.compactions += head?.metrics?.compactions?.count ?? 0;
    },
  );
  await fc.assert(property, { numRuns });
  return seen;
}

describe("whatever is amended in a session", { timeout: 120_000 }, () => {
  it("context usage equals the tokens of its window, which has the newest arguments", async () => {
    const seen = await always(async (domain) => {
      const { usage, window: tokens } = await usages(domain);
      const { items } = await domain.window(everything);
      const standIns = items.filter(({ reason }) => reason === "no_result");
      expect(usage).toBe(tokens - standIns.reduce((sum, item) => sum + item.tokens, 0));
      const calls = await callsOf(domain);
      for (const { event, tokens: shown } of items) {
        if (event?.payload.case !== "toolCall") continue;
        const { name, arguments: text } = event.payload.value;
        expect(text).toBe(calls.get(event.revision)?.text);
        // The tests' counter: a token a character, a line break between the two.
        expect(shown).toBe(text === "" ? name.length : name.length + 1 + text.length);
      }
    }, 80);
    expect(seen.amended).toBeGreaterThan(100);
    expect(seen.compactions).toBeGreaterThan(20);
  });

  it("Never rejected: its windows obey the rules of every provider", async () => {
    const dialects = Object.keys(validators) as DialectName[];
    let turn = 0;
    const seen = await always(async (domain) => {
      const name = dialects[turn++ % dialects.length] ?? "gemini";
      const agent = turn % 3 === 0 ? "planner" : "";
      const window = await domain.window({ ...everything, agent, ...dialectOf(name) });
      expect(refusalsOf(window, name)).toEqual([]);
    }, 40);
    expect(seen.amended).toBeGreaterThan(50);
  });
});

function dialectOf(name: DialectName) {
  return { dialect: validators[name].dialect };
}
