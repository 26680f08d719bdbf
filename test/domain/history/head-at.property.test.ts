import { create } from "@bufbuild/protobuf";
import { SetProtectionRequestSchema } from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import fc from "fast-check";
import { expect, test } from "vitest";
import { headAt } from "../../../src/domain/history/replay.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { amend, compact, open, sessionId } from "../context/compaction/support.ts";
import { logs } from "../context/logs/log.ts";

/** The head as it is, without what is learnt since and where checkpoints are. */
function comparable({ context, ...head }: SessionHead) {
  const { countedOutputTokens: _, reportedOutputTokens: __, ...state } = context ?? {};
  return { ...head, checkpointRevision: 0, context: state };
}

async function stored(domain: TestDomain) {
  const found = await domain.store.getSession({ namespace: "default", sessionId });
  if (found === undefined) throw new Error("the session is gone");
  return found;
}

/** What changes a head in ways that no event tells whole. */
const interventions = {
  compact: (domain: TestDomain) => compact(domain, { targetRatio: 0.05 }),
  protect: (domain: TestDomain) =>
    domain.protections.set(create(SetProtectionRequestSchema, { sessionId, revisions: [2] })),
  amend: async (domain: TestDomain) => {
    const log = await domain.log(sessionId);
    const call = log.findLast(({ payload }) => payload.case === "toolCall");
    if (call !== undefined) await amend(domain, call.revision, `{"at":${log.length}}`);
  },
} as const;

let compactions = 0;

test("the head of a session at any revision is the one it had there", async () => {
  const intervention = fc.option(
    fc.constantFrom<keyof typeof interventions>("compact", "protect", "amend"),
    {
      freq: 3,
    },
  );
  await fc.assert(
    fc.asyncProperty(
      logs({ minLength: 4, maxLength: 80 }),
      fc.infiniteStream(intervention),
      async (appends, between) => {
        await using domain = await openTestDomain();
        await open(domain, { tokenBudget: 2_000, compaction: { manual: true } });
        const heads = [(await stored(domain)).head];
        for (const { passMs, events } of appends) {
          domain.now += passMs;
          await domain.append({ sessionId, events: [...events] });
          heads.push((await stored(domain)).head);
          const value = between.next().value as keyof typeof interventions | null;
          if (value === null) continue;
          // A window that is too small, or has nothing to give, is refused; then nothing changed.
          await interventions[value](domain).catch(() => {});
          heads.push((await stored(domain)).head);
        }
        const session = await stored(domain);
        compactions += session.head.metrics?.compactions?.count ?? 0;
        for (const head of heads) {
          if (head.revision === 0) continue;
          const found = await headAt(domain.store, session, head.revision);
          expect(comparable(found)).toEqual(comparable(head));
        }
      },
    ),
    { numRuns: 100 },
  );
  expect(compactions).toBeGreaterThan(10);
});
