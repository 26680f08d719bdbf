import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema, IfExists, SessionState } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SessiondError, SessionQuotaExceededError } from "../../../src/errors.ts";
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
        await using domain = await openTestDomain({ quotaOf });
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
          const refused = errors.some((error) => error instanceof SessionQuotaExceededError);
          // Nobody is refused who would have had a place even if all that came had taken one.
          if (before + calls.length <= activeSessions) expect(refused).toBe(false);
        }
      }),
    );
  },
);
