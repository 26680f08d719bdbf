import { timestampMs } from "@bufbuild/protobuf/wkt";
import { CleanupAction, type Session, SessionState } from "@sessiond/contract";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { openTestDomain, userText } from "../../support/domain.ts";
import { expiryOf } from "../lifecycle/support.ts";
import { cleanupAll, end, minute, ms, recordRequests } from "./support.ts";

const plans = fc.array(
  fc.record({
    tier: fc.constantFrom("trial", "gold", undefined),
    /** Minutes between the session before and this one. */
    gap: fc.nat({ max: 20 }),
    ending: fc.constantFrom("none", "ended", "overdue", "deferred"),
    appendAfter: fc.option(fc.nat({ max: 60 })),
    well: fc.nat({ max: 2 }),
    failed: fc.nat({ max: 2 }),
  }),
  { maxLength: 12 },
);

const criteria = fc.record(
  {
    idleMinutes: fc.nat({ max: 120 }),
    ageMinutes: fc.nat({ max: 200 }),
    minErrorRate: fc.constantFrom(0, 0.3, 0.5),
    tier: fc.constant("trial"),
  },
  { requiredKeys: [] },
);

const ended: ReadonlySet<SessionState> = new Set([
  SessionState.COMPLETED,
  SessionState.EXPIRED,
  SessionState.FAILED,
]);

test("a cleanup changes exactly the sessions that a plain look at all of them picks", async () => {
  await fc.assert(
    fc.asyncProperty(
      plans,
      criteria,
      fc.constantFrom(CleanupAction.EXPIRE, CleanupAction.FAIL, CleanupAction.DELETE),
      fc.integer({ min: 1, max: 15 }),
      async (plan, { idleMinutes, ageMinutes, minErrorRate, tier }, action, pageSize) => {
        await using domain = await openTestDomain();
        const ids = plan.map((_, index) => `s${index}`);
        for (const [index, { tier: label, gap, ending }] of plan.entries()) {
          domain.now += gap * minute;
          const isOverdue = ending === "overdue";
          await domain.create({
            session: {
              sessionId: `s${index}`,
              labels: label === undefined ? {} : { tier: label },
              ...(isOverdue && { expiry: expiryOf({ ttl: 1 }) }),
            },
            deferredStart: ending === "deferred",
          });
        }
        for (const [index, { ending, appendAfter, well, failed }] of plan.entries()) {
          const sessionId = `s${index}`;
          if (ending === "ended") await end(domain, sessionId);
          if (ending !== "none") continue;
          await recordRequests(domain, sessionId, { well, failed });
          if (appendAfter === null) continue;
          domain.now += appendAfter * minute;
          await domain.append({ sessionId, events: [userText("hi")] });
        }
        domain.now += 30 * minute;

        const nowMs = domain.now;
        const isOpen = [idleMinutes, ageMinutes, minErrorRate, tier].every(
          (value) => value === undefined,
        );
        const picks = ({ state, labels, createTime, lastActivityTime, metrics }: Session) => {
          const createMs = createTime ? timestampMs(createTime) : 0;
          const activeMs = lastActivityTime ? timestampMs(lastActivityTime) : createMs;
          const minIdle = isOpen ? 30 : idleMinutes;
          return (
            (action === CleanupAction.DELETE || !ended.has(state)) &&
            (minIdle === undefined || nowMs - activeMs >= minIdle * minute) &&
            (ageMinutes === undefined || nowMs - createMs >= ageMinutes * minute) &&
            (minErrorRate === undefined || (metrics?.requests?.errorRate ?? 0) > minErrorRate) &&
            (tier === undefined || Object.values(labels).includes(tier))
          );
        };
        const before = await Promise.all(ids.map((id) => domain.get(id)));
        const expected = before.filter(picks).map(({ sessionId }) => sessionId);

        const found = await cleanupAll(domain, {
          action,
          pageSize,
          ...(idleMinutes !== undefined && { idle: ms(idleMinutes * minute) }),
          ...(ageMinutes !== undefined && { age: ms(ageMinutes * minute) }),
          ...(minErrorRate !== undefined && { minErrorRate }),
          ...(tier !== undefined && { filter: `session.labels.tier == "${tier}"` }),
        });

        expect([...found.ids].sort()).toEqual([...expected].sort());
        expect(found.changed).toBe(expected.length);
        const after = await Promise.all(ids.map((id) => domain.get(id).catch(() => undefined)));
        for (const [index, session] of before.entries()) {
          const now = after[index];
          if (!expected.includes(session.sessionId)) expect(now).toEqual(session);
          else if (action === CleanupAction.DELETE) expect(now).toBeUndefined();
          else expect(ended.has(now?.state ?? SessionState.UNSPECIFIED)).toBe(true);
        }
      },
    ),
    { numRuns: 150 },
  );
});
