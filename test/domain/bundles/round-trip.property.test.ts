import { create } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  CancelSessionRequestSchema,
  EndSessionRequestSchema,
  type Event,
  RecordRequestRequestSchema,
  ReopenSessionRequestSchema,
  SetProtectionRequestSchema,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stateOf } from "../../../src/domain/context/state.ts";
import { newestRewind } from "../../../src/domain/history/visible.ts";
import {
  CallHiddenError,
  ProtectedBudgetExceededError,
  RewindCrossesEndError,
  SummariserFailedError,
} from "../../../src/errors.ts";
import type { StoredSession } from "../../../src/store/store.ts";
import { messageOf, ruleHints } from "../../support/arbitraries.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import {
  amend,
  bytesOf,
  compact,
  everything,
  open,
  revert,
  sessionId,
} from "../context/compaction/support.ts";
import { logs } from "../context/logs/log.ts";
import { policies } from "../context/logs/policies.ts";
import { rewind } from "../history/support.ts";
import { exported, imported, storedAs } from "./support.ts";

/** What may be done to a session between two appends. */
const deeds = {
  nothing: async () => {},
  compact: async (domain: TestDomain) => {
    await compact(domain).catch((error: unknown) => {
      // A budget may leave too little for any summary.
      if (!(error instanceof SummariserFailedError)) throw error;
    });
  },
  revert: async (domain: TestDomain) => {
    const { head } = await storedAs(domain, sessionId);
    if (head.context?.compaction !== undefined) await revert(domain);
  },
  protect: (domain: TestDomain) => setProtection(domain, false),
  unprotect: (domain: TestDomain) => setProtection(domain, true),
  amend: async (domain: TestDomain) => {
    const log = await domain.log(sessionId);
    const calls = log.filter(({ payload }) => payload.case === "toolCall");
    // Some for the first time, some again.
    const call = calls[log.length % Math.max(1, calls.length)];
    if (call === undefined) return;
    await amend(domain, call.revision, `{"at":${10 ** (log.length % 15)}}`).catch(
      (error: unknown) => {
        if (!(error instanceof ProtectedBudgetExceededError)) throw error;
      },
    );
  },
  request: async (domain: TestDomain) => {
    const error = { code: "e", message: "m" };
    await domain.counters.record(create(RecordRequestRequestSchema, { sessionId, error }));
  },
  model: async (domain: TestDomain) => {
    const session = { sessionId, model: "claude-sonnet" };
    await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
  },
  rewind: (domain: TestDomain) => rewindTo(domain, 0.6),
  clear: (domain: TestDomain) => rewindTo(domain, 0),
  redo: async (domain: TestDomain) => {
    const newest = newestRewind(stateOf(await storedAs(domain, sessionId)).hidden);
    if (newest > 0) await rewindTo(domain, newest - 1);
  },
  reopen: async (domain: TestDomain) => {
    const end = { sessionId, end: { reason: "done" } };
    await domain.sessions.end(create(EndSessionRequestSchema, end));
    await domain.lifecycle.reopen(create(ReopenSessionRequestSchema, { sessionId }));
  },
} as const;

/** A late result of a call that a rewind has hidden is refused. */
function unlessHidden(error: unknown): void {
  if (!(error instanceof CallHiddenError)) throw error;
}

/** Rewinds to a revision, or to a share of the log; not across an end. */
async function rewindTo(domain: TestDomain, where: number): Promise<void> {
  const { headRevision } = await domain.get(sessionId);
  const value = where < 1 ? Math.max(1, Math.round(where * headRevision)) : where;
  const request = { sessionId, to: { case: "revision", value } } as const;
  await rewind(domain, request).catch((error: unknown) => {
    if (!(error instanceof RewindCrossesEndError)) throw error;
  });
}

async function setProtection(domain: TestDomain, unprotect: boolean): Promise<void> {
  const log = await domain.log(sessionId);
  const shown = log.filter(({ group }) => group > 0).map(({ revision }) => revision);
  const revisions = shown.slice(-2);
  if (revisions.length === 0) return;
  const request = create(SetProtectionRequestSchema, { sessionId, revisions, unprotect });
  await domain.protections.set(request).catch((error: unknown) => {
    if (!(error instanceof ProtectedBudgetExceededError)) throw error;
  });
}

const deed = fc.oneof(
  { weight: 4, arbitrary: fc.constant("nothing" as const) },
  // Of its own weight: most compactions find too little to do, and each new deed would thin them.
  { weight: 3, arbitrary: fc.constant("compact" as const) },
  { weight: 3, arbitrary: fc.constantFrom(...(Object.keys(deeds) as (keyof typeof deeds)[])) },
);

/** What must be the same: all but where it is kept, and by when the store looks at it again. */
function comparable({ session, head }: StoredSession) {
  const { uid: _uid, namespace: _namespace, expireTime: _due, ...own } = session;
  return { own, head: withoutCheckpoint(head) };
}

/** Checkpoints go by where appends began and ended. */
function withoutCheckpoint({ checkpointRevision: _at, ...head }: StoredSession["head"]) {
  return head;
}

async function expectSame(domain: TestDomain): Promise<void> {
  const parts = await exported(domain, sessionId);
  await imported(domain, parts, { namespace: "other" });
  const before = await storedAs(domain, sessionId);
  const after = await storedAs(domain, sessionId, "other");
  expect(comparable(after)).toEqual(comparable(before));
  expect(await exported(domain, sessionId, "other")).toEqual(parts);
}

async function windowOf(domain: TestDomain, namespace: string) {
  const window = await domain.window({ ...everything, namespace });
  return { items: bytesOf(window), tokens: window.tokens, prefixHash: window.prefixHash };
}

describe("a session that was exported and imported", { timeout: 120_000 }, () => {
  it("is the same with its head, and lives on the same, whatever happened to it", async () => {
    let compactions = 0;
    const property = fc.asyncProperty(
      logs({ minLength: 3, maxLength: 40 }),
      policies,
      fc.array(deed, { minLength: 40, maxLength: 40 }),
      fc.boolean(),
      async (appends, policy, deedsBetween, isCancelled) => {
        await using domain = await openTestDomain();
        await open(domain, policy);
        for (const [index, { passMs, events }] of appends.entries()) {
          domain.now += passMs;
          await domain.append({ sessionId, events: [...events] }).catch(unlessHidden);
          await domain.settled();
          await deeds[deedsBetween[index] ?? "nothing"](domain);
        }
        compactions += (await storedAs(domain, sessionId)).head.metrics?.compactions?.count ?? 0;
        if (isCancelled) {
          await domain.lifecycle.cancel(create(CancelSessionRequestSchema, { sessionId }));
        }
        await expectSame(domain);
        // By a server that has seen neither of them.
        const restarted = await openTestDomain({ store: domain.store });
        restarted.now = domain.now + 1_000;
        const windows = () =>
          Promise.all(["default", "other"].map((namespace) => windowOf(restarted, namespace)));
        const [own, other] = await windows();
        expect(other).toEqual(own);
        if (!isCancelled) {
          for (const namespace of ["default", "other"]) {
            await restarted.append({ namespace, sessionId, events: [userText("and then?")] });
            await restarted.settled();
          }
          const [before, after] = await Promise.all(
            ["default", "other"].map((namespace) => storedAs(domain, sessionId, namespace)),
          );
          expect(after && withoutCheckpoint(after.head)).toEqual(
            before && withoutCheckpoint(before.head),
          );
          const [ownLater, otherLater] = await windows();
          expect(otherLater).toEqual(ownLater);
        }
        await restarted.close();
      },
    );
    await fc.assert(property, { numRuns: 120 });
    expect(compactions).toBeGreaterThan(20);
  });

  it("has every event as it was, whatever a caller may send", async () => {
    let taken = 0;
    const requests = messageOf(AppendEventsRequestSchema, ruleHints, { percent: 0 });
    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        await using domain = await openTestDomain();
        await open(domain);
        try {
          await domain.events.append({ ...request, namespace: "", sessionId, expectedRevision: 1 });
        } catch {
          return;
        }
        // A large text may begin a compaction.
        await domain.settled();
        taken += 1;
        // A large file makes a compaction due, which must not come between.
        await domain.settled();
        await expectSame(domain);
        const log = (namespace: string) => readLog(domain, namespace);
        expect(await log("other")).toEqual(await log("default"));
      }),
      { numRuns: 150 },
    );
    expect(taken).toBeGreaterThan(50);
  });
});

async function readLog(domain: TestDomain, namespace: string): Promise<Event[]> {
  const { session } = await storedAs(domain, sessionId, namespace);
  const range = { uid: session.uid, first: 1, last: 1_000, maxEvents: 1_000, maxBytes: 1e9 };
  return domain.store.readEvents(range);
}
