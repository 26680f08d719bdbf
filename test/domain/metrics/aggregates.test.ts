import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AggregateMetricsRequestSchema,
  DeleteSessionRequestSchema,
  DeleteUserDataRequestSchema,
  EndSessionRequestSchema,
  Metric,
  MetricBasis,
  MetricBucket,
  type MetricGroup,
  MetricGrouping,
  SessionState,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, it, test } from "vitest";
import { InvalidFieldError } from "../../../src/errors.ts";
import { rejection } from "../../store/support.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { aggregate, checkAccount } from "./account.ts";
import { Ledger } from "./ledger.ts";

const hourMs = 3_600_000;
/** As the domain's clock begins: 2030-01-01, midnight. */
const midnight = Date.UTC(2030, 0, 1);

type Request = MessageInitShape<typeof AggregateMetricsRequestSchema>;

/** Values by name; a group without buckets. */
function numbers({ results }: MetricGroup) {
  return Object.fromEntries(results.map(({ metric, value }) => [Metric[metric], value]));
}

async function total(domain: TestDomain, request: Request) {
  const { total } = await aggregate(domain, request);
  if (total === undefined) throw new Error("there is no total");
  return numbers(total);
}

/** A session of an agent that runs for some minutes. */
async function runFor(
  domain: TestDomain,
  {
    id,
    agentId = "planner",
    minutes,
    state = SessionState.COMPLETED,
  }: {
    id: string;
    agentId?: string;
    minutes: number;
    state?: SessionState;
  },
): Promise<void> {
  await domain.create({ session: { sessionId: id, agentId, userId: "ada" } });
  domain.now += minutes * 60_000;
  await domain.sessions.end(create(EndSessionRequestSchema, { sessionId: id, state }));
}

describe("numbers of a period", () => {
  it("are those of the agent, with the mean and the success rate of what ended", async () => {
    await using domain = await openTestDomain();
    await runFor(domain, { id: "a", minutes: 1 });
    await runFor(domain, { id: "b", minutes: 3 });
    await runFor(domain, { id: "c", minutes: 2, state: SessionState.FAILED });
    await runFor(domain, { id: "d", minutes: 10, agentId: "writer" });
    await domain.create({ session: { sessionId: "e", agentId: "planner" } });
    const metrics = [
      ...[Metric.SESSIONS_TOTAL, Metric.AVG_DURATION, Metric.SUCCESS_RATE],
      ...[Metric.SESSIONS_ACTIVE, Metric.P50_DURATION],
    ];
    const week = durationFromMs(7 * 24 * hourMs);
    const found = await total(domain, { agentId: "planner", period: week, metrics });
    expect(found).toEqual({
      SESSIONS_TOTAL: 4,
      AVG_DURATION: 120_000,
      SUCCESS_RATE: expect.closeTo(66.667, 2),
      SESSIONS_ACTIVE: 1,
      P50_DURATION: expect.closeTo(120_000, -4),
    });
    expect(await total(domain, { agentId: "nobody", metrics })).toEqual({
      ...{ SESSIONS_TOTAL: 0, SESSIONS_ACTIVE: 0 },
      ...{ AVG_DURATION: undefined, SUCCESS_RATE: undefined, P50_DURATION: undefined },
    });
  });

  it("stay when what they count is deleted, but for what is active", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "a", agentId: "planner" } });
    await domain.append({ sessionId: "a", events: [userText("hello")] });
    await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: "a" }));
    const metrics = [
      ...[Metric.SESSIONS_TOTAL, Metric.MESSAGES, Metric.TOKENS_TOTAL],
      ...[Metric.SESSIONS_DELETED, Metric.SESSIONS_ACTIVE],
    ];
    expect(await total(domain, { metrics })).toEqual({
      ...{ SESSIONS_TOTAL: 1, MESSAGES: 1, TOKENS_TOTAL: 5 },
      ...{ SESSIONS_DELETED: 1, SESSIONS_ACTIVE: 0 },
    });
  });

  it("belong to the agent a session had when it happened", async () => {
    await using domain = await openTestDomain();
    const { etag } = await domain.create({ session: { sessionId: "a", agentId: "first" } });
    await domain.append({ sessionId: "a", events: [userText("one")] });
    await domain.sessions.update(
      create(UpdateSessionRequestSchema, {
        session: { sessionId: "a", agentId: "second", etag },
        updateMask: { paths: ["agent_id"] },
      }),
    );
    await domain.append({ sessionId: "a", events: [userText("two"), userText("three")] });
    const metrics = [Metric.SESSIONS_TOTAL, Metric.MESSAGES, Metric.SESSIONS_ACTIVE];
    const { groups } = await aggregate(domain, { groupBy: MetricGrouping.AGENT, metrics });
    expect(groups.map((group) => [group.value, numbers(group)])).toEqual([
      ["first", { SESSIONS_TOTAL: 1, MESSAGES: 1, SESSIONS_ACTIVE: 0 }],
      ["second", { SESSIONS_TOTAL: 0, MESSAGES: 2, SESSIONS_ACTIVE: 1 }],
    ]);
  });

  it("are of whole hours, with a number for every one of them", async () => {
    await using domain = await openTestDomain();
    domain.now = midnight + 30 * 60_000;
    await domain.create({ session: { sessionId: "a" } });
    domain.now += 2 * hourMs;
    await domain.create({ session: { sessionId: "b" } });
    const answer = await aggregate(domain, {
      ...{ period: durationFromMs(4 * hourMs), bucket: MetricBucket.HOUR },
      metrics: [Metric.SESSIONS_TOTAL, Metric.SESSIONS_ACTIVE],
    });
    const iso = [answer.startTime, answer.endTime].map((time) => time && timestampDate(time));
    expect(iso).toEqual([new Date(midnight - hourMs), new Date(midnight + 3 * hourMs)]);
    expect(answer.total?.results.map(({ value, buckets }) => [value, buckets])).toEqual([
      [2, [0, 1, 0, 1]],
      [2, []],
    ]);
    const day = await aggregate(domain, {
      startTime: timestampFromMs(midnight - 24 * hourMs),
      endTime: timestampFromMs(midnight + 1),
      ...{ bucket: MetricBucket.DAY, metrics: [Metric.SESSIONS_TOTAL] },
    });
    expect(day.total?.results[0]?.buckets).toEqual([0, 1]);
  });

  it("come with the largest group first, and say how many groups there are", async () => {
    await using domain = await openTestDomain();
    for (const [agentId, sessions] of [
      ["few", 1],
      ["many", 3],
      ["some", 2],
    ] as const) {
      for (let i = 0; i < sessions; i++) {
        await domain.create({ session: { sessionId: `${agentId}${i}`, agentId } });
      }
    }
    const request = { groupBy: MetricGrouping.AGENT, metrics: [Metric.SESSIONS_TOTAL] };
    const answer = await aggregate(domain, { ...request, maxGroups: 2 });
    expect(answer.groups.map(({ value }) => value)).toEqual(["many", "some"]);
    expect(answer).toMatchObject({ groupCount: 3, partial: false, basis: MetricBasis.FACTS });
    expect(numbers(answer.total ?? ({ results: [] } as never))).toEqual({ SESSIONS_TOTAL: 6 });
    const divided = await aggregate(domain, {
      ...{ ...request, maxGroups: 1, bucket: MetricBucket.HOUR, period: durationFromMs(1) },
    });
    expect(divided.groups.map(({ value, results }) => [value, results[0]?.buckets])).toEqual([
      ["many", [3]],
    ]);
  });
});

describe("labels", () => {
  const labels = ["tier"];

  it("that are configured are counted as facts, others looked up in the sessions", async () => {
    await using domain = await openTestDomain({ metricLabels: labels });
    const ledger = new Ledger(labels);
    ledger.attach(domain.store);
    for (const [sessionId, tier] of [
      ["a", "gold"],
      ["b", "gold"],
      ["c", ""],
    ] as const) {
      await domain.create({ session: { sessionId, labels: { tier, region: "eu" } } });
    }
    await domain.create({ session: { sessionId: "d" } });
    await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: "a" }));
    await checkAccount(domain, ledger, labels);
    const metrics = [Metric.SESSIONS_TOTAL];
    const groupBy = MetricGrouping.LABEL;
    const counted = await aggregate(domain, { groupBy, labelKey: "tier", metrics });
    expect(counted.groups.map((group) => [group.value, numbers(group)])).toEqual([
      ["gold", { SESSIONS_TOTAL: 2 }],
      ["", { SESSIONS_TOTAL: 1 }],
    ]);
    const looked = await aggregate(domain, { groupBy, labelKey: "region", metrics });
    expect(looked.groups.map((group) => [group.value, numbers(group)])).toEqual([
      ["eu", { SESSIONS_TOTAL: 2 }],
    ]);
    expect(looked).toMatchObject({ basis: MetricBasis.SESSIONS, scannedSessions: 3 });
    const one = { label: { key: "tier", value: "gold" }, metrics };
    expect(await total(domain, one)).toEqual({ SESSIONS_TOTAL: 2 });
  });
});

describe("what nothing was counted by", () => {
  it("is made of the sessions that are there, and says when some are missing", async () => {
    await using domain = await openTestDomain();
    for (let i = 0; i < 5; i++) {
      const session = { sessionId: `s${i}`, agentId: "planner", userId: `u${i % 2}`, model: "m" };
      await domain.create({ session });
      domain.now += 1_000;
    }
    const metrics = [Metric.SESSIONS_TOTAL, Metric.SESSIONS_DELETED, Metric.SESSIONS_ACTIVE];
    const request = { groupBy: MetricGrouping.MODEL, metrics };
    const whole = await aggregate(domain, request);
    expect(whole.groups.map((group) => [group.value, numbers(group)])).toEqual([
      ["m", { SESSIONS_TOTAL: 5, SESSIONS_DELETED: undefined, SESSIONS_ACTIVE: 5 }],
    ]);
    expect(whole).toMatchObject({ partial: false, scannedSessions: 5 });
    const part = await aggregate(domain, { ...request, maxSessions: 3 });
    expect(part).toMatchObject({ partial: true, scannedSessions: 3 });
    const both = { agentId: "planner", userId: "u1", metrics };
    expect(await total(domain, both)).toMatchObject({ SESSIONS_TOTAL: 2 });
    const state = await aggregate(domain, { groupBy: MetricGrouping.STATE, metrics });
    expect(state.groups.map(({ value }) => value)).toEqual(["active"]);
    const before = { ...request, endTime: timestampFromMs(midnight - hourMs) };
    expect((await aggregate(domain, before)).groups).toEqual([]);
  });
});

test("a user's data takes what was counted by the user along, and nothing else", async () => {
  await using domain = await openTestDomain();
  const ledger = new Ledger();
  ledger.attach(domain.store);
  await runFor(domain, { id: "a", minutes: 5 });
  domain.now += 300 * 24 * hourMs;
  await runFor(domain, { id: "b", minutes: 5 });
  await domain.create({ session: { sessionId: "c", userId: "ada2" } });
  const request = create(DeleteUserDataRequestSchema, { userId: "ada" });
  expect(await domain.userData.delete(request)).toMatchObject({ deleted: 2 });
  ledger.forgetUser("ada");
  await checkAccount(domain, ledger);
  const [found] = await domain.store.records({ table: "rollups", limit: 1_000 });
  const texts = found.map(({ key }) => Buffer.from(key).toString("latin1"));
  expect(texts.filter((text) => /ada$/.test(text))).toEqual([]);
  expect(texts.filter((text) => /ada2$/.test(text))).not.toEqual([]);
});

test.each<[string, Request, string]>([
  ["a negative period", { period: durationFromMs(-1) }, "period"],
  ["no period", { period: durationFromMs(0) }, "period"],
  ["a period of years", { period: durationFromMs(500 * 24 * hourMs) }, "period"],
  ["the longest period there is", { period: { seconds: 315_576_000_000n, nanos: 0 } }, "period"],
  ["a beginning behind the end", { startTime: timestampFromMs(midnight + hourMs) }, "start_time"],
  ["two beginnings", { startTime: timestampFromMs(0), period: durationFromMs(hourMs) }, "period"],
  [
    "the year 9999",
    { endTime: { seconds: 253_402_300_799n, nanos: 0 }, startTime: timestampFromMs(0) },
    "start_time",
  ],
  ["a metric that is none", { metrics: [999 as Metric] }, "metrics[0]"],
  ["a metric that is not said", { metrics: [Metric.COST, Metric.UNSPECIFIED] }, "metrics[1]"],
  ["a metric twice", { metrics: [Metric.COST, Metric.COST] }, "metrics[1]"],
  ["a label without its key", { groupBy: MetricGrouping.LABEL }, "label_key"],
  ["a key without its label", { labelKey: "tier" }, "label_key"],
  ["a label filter without a key", { label: { key: "", value: "x" } }, "label.key"],
  ["a long label key", { groupBy: MetricGrouping.LABEL, labelKey: "x".repeat(64) }, "label_key"],
  ["an agent with a line break", { agentId: "a\nb" }, "agent_id"],
  ["too many groups", { groupBy: MetricGrouping.AGENT, maxGroups: 1_001 }, "max_groups"],
  ["too many sessions", { maxSessions: 100_001 }, "max_sessions"],
  ["a grouping that is none", { groupBy: 77 as MetricGrouping }, "group_by"],
  [
    "a million numbers",
    {
      ...{ period: durationFromMs(400 * 24 * hourMs), bucket: MetricBucket.HOUR },
      ...{ groupBy: MetricGrouping.USER, maxGroups: 1_000 },
    },
    "bucket",
  ],
])("%s is refused by its name", async (_, request, field) => {
  await using domain = await openTestDomain();
  const error = await rejection(aggregate(domain, request));
  expect(error).toBeInstanceOf(InvalidFieldError);
  expect(error).toMatchObject({ violations: [{ field }] });
});
