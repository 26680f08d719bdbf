import { expect, test } from "vitest";
import { runDemo } from "./demo/demo.ts";

test("Durable, Resumable: runs imported over a SIGKILL read back, stream and count as they went in", async () => {
  const report = await runDemo(() => {});
  expect(report.eventsAtKill).toBeGreaterThan(0);
  expect(report.eventsAtKill).toBeLessThan(report.events);
  expect(report).toMatchObject({
    sessionsEqual: report.runs,
    watched: report.events,
    watchFaults: 0,
    tokensCounted: report.tokensRecounted,
    sessionsWithOtherTokens: 0,
  });
}, 120_000);
