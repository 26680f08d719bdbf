import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema, IfExists, SessionState } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hasEnded } from "../../../src/domain/lifecycle/states.ts";
import { SessiondError, SessionQuotaExceededError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { cancel, expiryOf, listed, reopen } from "../lifecycle/support.ts";

const activeSessions = 3;
const minIdleMs = 100;

const doing = {
  create: (domain: TestDomain, sessionId: string) =>
    domain.create({ session: { sessionId, expiry: expiryOf({ idleTtl: 1_000 }) } }),
  renew: (domain: TestDomain, sessionId: string) =>
    domain.create({ session: { sessionId }, ifExists: IfExists.RENEW }),
  append: (domain: TestDomain, sessionId: string) =>
    domain.append({ sessionId, events: [userText("hi")], createIfMissing: true }),
  cancel: (domain: TestDomain, sessionId: string) => cancel(domain, { sessionId }),
  reopen: (domain: TestDomain, sessionId: string) => reopen(domain, { sessionId }),
  delete: (domain: TestDomain, sessionId: string) =>
    domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId })),
};

const call = fc.record({
  what: fc.constantFrom(...(Object.keys(doing) as (keyof typeof doing)[])),
  sessionId: fc.constantFrom("a", "b", "c", "d", "e", "f"),
});
/** Calls made at once, and how much time passes before them. */
const burst = fc.record({
  calls: fc.array(call, { minLength: 1, maxLength: 6 }),
  waitMs: fc.constantFrom(0, 10, 200, 2_000),
});

/** A store whose commits take several turns of the event loop, one after another, as on a disk. */
async function slowStore(): Promise<MemoryStore> {
  const store = await MemoryStore.open();
  const { commit } = store;
  let before: Promise<unknown> = Promise.resolve();
  store.commit = (change) => {
    const done = before.then(() => nextTurn()).then(() => commit.call(store, change));
    before = done.catch(() => {});
    return done;
  };
  return store;
}

/** The most sessions that were active at once, by the commits of a store. */
function watchActive(store: MemoryStore): { readonly most: number } {
  const active = new Set<string>();
  const seen = { most: 0 };
  store.onCommit(({ change: { key, after } }) => {
    if (after !== undefined && !hasEnded(after)) active.add(key.uid);
    else active.delete(key.uid);
    seen.most = Math.max(seen.most, active.size);
  });
  return seen;
}

async function countActive(domain: TestDomain): Promise<number> {
  const active = await listed(domain, SessionState.ACTIVE);
  return active.length;
}

test.each(["refuse", "expire-longest-idle"] as const)(
  "Bounded: whatever is called at once, no more sessions are active than a quota allows that says %s",
  async (whenFull) => {
    await fc.assert(
      fc.asyncProperty(fc.array(burst, { maxLength: 12 }), async (bursts) => {
        const quotaOf = () => ({ activeSessions, whenFull, minIdleMs });
        const store = await slowStore();
        const seen = watchActive(store);
        await using domain = await openTestDomain({ quotaOf, store });
        for (const { calls, waitMs } of bursts) {
          domain.now += waitMs;
          const before = await countActive(domain);
          const answers = await Promise.allSettled(
            calls.map(({ what, sessionId }) => doing[what](domain, sessionId)),
          );
          const errors = answers.flatMap((answer) =>
            answer.status === "rejected" ? [answer.reason] : [],
          );
          expect(errors.filter((error) => !(error instanceof SessiondError))).toEqual([]);
          expect(await countActive(domain)).toBeLessThanOrEqual(activeSessions);
          // What time has ended is not written, and does not count: not looked at below then.
          if (bursts.every((each) => each.waitMs < 1_000)) {
            expect(seen.most).toBeLessThanOrEqual(activeSessions);
          }
          const refused = errors.some((error) => error instanceof SessionQuotaExceededError);
          // Nobody is refused who would have had a place even if all that came had taken one.
          if (before + calls.length <= activeSessions) expect(refused).toBe(false);
        }
      }),
    );
  },
);
