import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import {
  CleanupAction,
  CleanupSessionsRequestSchema,
  type Event,
  IfExists,
  type Session,
} from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SessiondError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { fork } from "../history/support.ts";
import { cancel, expiryOf } from "../lifecycle/support.ts";
import { verify } from "../upkeep/support.ts";
import { child, remove, watchOrphans } from "./support.ts";

const expiry = expiryOf({ retention: 1_000 });

type Call = { readonly sessionId: string; readonly other: string; readonly number: number };

const doing = {
  create: (domain: TestDomain, { sessionId }: Call) =>
    domain.create({ session: { sessionId, expiry } }),
  child: (domain: TestDomain, { sessionId, other }: Call) =>
    child(domain, sessionId, other, { session: { expiry } }),
  found: (domain: TestDomain, { sessionId, other }: Call) =>
    child(domain, sessionId, other, { ifExists: IfExists.RETURN }),
  renew: (domain: TestDomain, { sessionId }: Call) =>
    domain.create({ session: { sessionId }, ifExists: IfExists.RENEW }),
  renewChild: (domain: TestDomain, { sessionId, other }: Call) =>
    child(domain, sessionId, other, { ifExists: IfExists.RENEW }),
  fork: (domain: TestDomain, { other, number }: Call) =>
    fork(domain, { sessionId: other, newSessionId: `fork-${number}` }),
  append: (domain: TestDomain, { sessionId }: Call) =>
    domain.append({ sessionId, events: [userText("hi")] }),
  cancel: (domain: TestDomain, { sessionId }: Call) => cancel(domain, { sessionId }),
  delete: (domain: TestDomain, { sessionId }: Call) => remove(domain, sessionId),
  deleteOther: (domain: TestDomain, { other }: Call) => remove(domain, other),
  sweep: (domain: TestDomain) => domain.sweeper.sweep(() => nextTurn()),
  cleanup: (domain: TestDomain, { sessionId }: Call) =>
    domain.cleanup.cleanup(
      create(CleanupSessionsRequestSchema, {
        action: CleanupAction.DELETE,
        filter: `session.session_id == "${sessionId}"`,
      }),
    ),
};

const id = fc.constantFrom("a", "b", "c", "d", "e");
const call = fc.record({
  what: fc.constantFrom(...(Object.keys(doing) as (keyof typeof doing)[])),
  sessionId: id,
  other: id,
});
/** Calls made at once, and how much time passes before them. */
const burst = fc.record({
  calls: fc.array(call, { minLength: 1, maxLength: 8 }),
  waitMs: fc.constantFrom(0, 10, 2_000),
});

/** A store whose reads and commits take turns of the event loop, as on a disk; commits keep their order. */
async function slowStore(): Promise<MemoryStore> {
  const store = await MemoryStore.open();
  const { commit, listSessions } = store;
  let before: Promise<unknown> = Promise.resolve();
  store.commit = (change) => {
    const done = before.then(() => nextTurn()).then(() => commit.call(store, change));
    before = done.catch(() => {});
    return done;
  };
  store.listSessions = async (query) => {
    const found = await listSessions.call(store, query);
    // What was read is old by the time it is there.
    await nextTurn();
    return found;
  };
  return store;
}

test.each(["without an archive", "with an archive"])(
  "Together: whatever is called at once, no child is ever stored without its parent, and no fork is lost: %s",
  async (kind) => {
    await fc.assert(
      fc.asyncProperty(fc.array(burst, { maxLength: 14 }), async (bursts) => {
        const store = await slowStore();
        const orphans = watchOrphans(store);
        const archive = async () => void (await nextTurn());
        await using domain = await openTestDomain({
          store,
          ...(kind === "with an archive" && { archive }),
        });
        const forks = new Map<string, Event[]>();
        let number = 0;
        for (const { calls, waitMs } of bursts) {
          domain.now += waitMs;
          const answers = await Promise.allSettled(
            calls.map(async ({ what, sessionId, other }) => {
              const made = await doing[what](domain, { sessionId, other, number: ++number });
              if (what !== "fork") return;
              const { sessionId: id } = made as Session;
              forks.set(id, await domain.log(id));
            }),
          );
          const errors = answers.flatMap((answer) =>
            answer.status === "rejected" ? [answer.reason] : [],
          );
          expect(errors.filter((error) => !(error instanceof SessiondError))).toEqual([]);
          expect(orphans).toEqual([]);
        }
        while (await store.maintain({ nowMs: domain.now, limit: 100 })) {
          // Frees what nobody needs of the logs of those that are gone.
        }
        for (const [id, log] of forks) expect(await domain.log(id)).toEqual(log);
        expect((await verify(store)).findings).toEqual([]);
      }),
      { numRuns: 250 },
    );
  },
);
