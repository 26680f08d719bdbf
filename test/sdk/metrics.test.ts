import { InvalidFieldError, Sessiond, UsageError } from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let namespaces = 0;
let nowMs = Date.parse("2026-11-20T12:00:00Z");

beforeAll(async () => {
  server = await startInMemory({ clock: () => nowMs });
});

/** Every test has a namespace to itself, with three runs of an agent and one of another. */
beforeEach(async () => {
  sessiond = new Sessiond({ address: server.address, namespace: `test-${++namespaces}` });
  for (const [sessionId, agentId, state] of [
    ["a", "planner", "completed"],
    ["b", "planner", "failed"],
    ["c", "planner", "completed"],
    ["d", "writer", "completed"],
  ] as const) {
    const session = await sessiond.sessions.create({ sessionId, agentId });
    nowMs += 30_000;
    await session.end({ state });
  }
});

afterEach(() => sessiond.close());
afterAll(() => server.stop());

test("get gives the numbers that were asked for, by their names", async () => {
  const metrics = await sessiond.metrics.get({
    ...{ agentId: "planner", period: "7d" },
    metrics: ["sessions_total", "avg_duration", "success_rate", "avg_tool_duration"],
  });
  // The names are known to the compiler: another one would not compile.
  const total: number = metrics.sessions_total;
  const duration: number | undefined = metrics.avg_duration;
  expect([total, duration]).toEqual([3, 30_000]);
  expect(metrics.success_rate).toBeCloseTo(66.67, 1);
  expect(metrics.avg_tool_duration).toBeUndefined();
  expect(Object.keys(metrics)).toHaveLength(4);
});

test("aggregate goes by agent and hour, and has usual numbers of its own", async () => {
  const answer = await sessiond.metrics.aggregate({
    ...{ groupBy: "agent", period: 24 * 3_600_000, bucket: "hour" },
  });
  expect(answer.groups.map(({ value, metrics }) => [value, metrics.sessions_total])).toEqual([
    ["planner", 3],
    ["writer", 1],
  ]);
  expect(answer.total.metrics).toMatchObject({ sessions_total: 4, sessions_active: 0, cost: 0 });
  expect(answer.total.buckets.sessions_total).toHaveLength(24);
  expect(answer.total.buckets.sessions_total.reduce((a, b) => a + b)).toBe(4);
  expect(+answer.to - +answer.from).toBe(24 * 3_600_000);
  expect(answer).toMatchObject({ groupCount: 2, basis: "facts", partial: false });
});

test("aggregate looks at sessions where nothing was counted, and says so", async () => {
  const answer = await sessiond.metrics.aggregate({
    ...{ groupBy: "state", metrics: ["sessions_total"], orderBy: "sessions_total" },
  });
  expect(answer.groups.map(({ value, metrics }) => [value, metrics])).toEqual([
    ["completed", { sessions_total: 3 }],
    ["failed", { sessions_total: 1 }],
  ]);
  expect(answer).toMatchObject({ basis: "sessions", scannedSessions: 4 });
});

test("times may be given as dates, and what is wrong is refused before or by the server", async () => {
  const { metrics } = sessiond;
  const before = { from: new Date("2026-11-01"), to: new Date("2026-11-02") };
  expect(await metrics.get({ ...before, metrics: ["sessions_total"] })).toEqual({
    sessions_total: 0,
  });
  const wrong = "7 days" as "7d";
  await expect(metrics.get({ period: wrong, metrics: ["cost"] })).rejects.toThrow(UsageError);
  const unknown = "nonsense" as "cost";
  await expect(metrics.get({ metrics: [unknown] })).rejects.toThrow(/no metric "nonsense"/);
  await expect(metrics.get({ period: "900d", metrics: ["cost"] })).rejects.toThrow(
    InvalidFieldError,
  );
});
