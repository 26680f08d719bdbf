import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AggregateMetricsRequestSchema,
  type AggregateMetricsResponse,
  Metric,
  MetricBucket,
  MetricGrouping,
  type MetricResult,
} from "@sessiond/contract";
import { expect } from "vitest";
import type { TestDomain } from "../../support/domain.ts";
import type { Ledger } from "./ledger.ts";

const hourMs = 3_600_000;

export function aggregate(
  domain: TestDomain,
  request: MessageInitShape<typeof AggregateMetricsRequestSchema> = {},
): Promise<AggregateMetricsResponse> {
  return domain.aggregates.aggregate(create(AggregateMetricsRequestSchema, request));
}

/** Every metric but the bytes, which only an encoder knows. */
export const allMetrics = Object.values(Metric).filter(
  (metric): metric is Metric =>
    typeof metric === "number" && metric !== Metric.UNSPECIFIED && metric !== Metric.STORED_BYTES,
);

const quantiles: readonly Metric[] = [
  ...[Metric.P50_DURATION, Metric.P95_DURATION, Metric.P99_DURATION],
  ...[Metric.P50_TOOL_DURATION, Metric.P95_TOOL_DURATION, Metric.P99_TOOL_DURATION],
];

/** Some that are asked for hour by hour. */
const byHour = [
  ...[Metric.SESSIONS_TOTAL, Metric.SESSIONS_ENDED, Metric.EVENTS, Metric.TOKENS_TOTAL],
  ...[Metric.TOOL_CALLS, Metric.P50_DURATION, Metric.SESSIONS_DELETED],
];

/** Compares what the server says of a domain with a ledger, for all there is and hour by hour. */
export async function checkAccount(
  domain: TestDomain,
  ledger: Ledger,
  labels: readonly string[] = [],
): Promise<void> {
  const hours = ledger.hours();
  if (hours.length === 0) return;
  const first = Math.min(...hours);
  const end = Math.max(...hours) + 1;
  const period = {
    startTime: timestampFromMs(first * hourMs),
    endTime: timestampFromMs(end * hourMs),
    maxGroups: ledger.groups().length + 1,
  };
  const groupings = [
    { groupBy: MetricGrouping.AGENT, prefix: "agent=" },
    { groupBy: MetricGrouping.USER, prefix: "user=" },
    ...labels.map((labelKey) => {
      return { groupBy: MetricGrouping.LABEL, labelKey, prefix: `label ${labelKey}=` };
    }),
  ];
  for (const { prefix, ...grouping } of groupings) {
    const metrics = allMetrics;
    const answer = await aggregate(domain, { ...period, ...grouping, metrics });
    expect(answer.partial).toBe(false);
    compare("all", answer.total?.results, ledger, first, end);
    for (const { value, results } of answer.groups) {
      compare(`${prefix}${value}`, results, ledger, first, end);
    }
    const known = ledger.groups().filter((group) => group.startsWith(prefix));
    const found = answer.groups.map(({ value }) => `${prefix}${value}`);
    expect(found).toEqual(expect.arrayContaining(known));
    // Hour by hour only where the hours are few: an answer holds so many numbers and no more.
    if (end - first > 500) continue;
    const buckets = await aggregate(domain, {
      ...{ ...period, ...grouping, metrics: byHour, bucket: MetricBucket.HOUR },
    });
    for (const { value, results } of buckets.groups) {
      for (const { metric, buckets: numbers } of results) {
        expect(numbers).toHaveLength(end - first);
        for (const [index, number] of numbers.entries()) {
          const hour = first + index;
          const group = `${prefix}${value}`;
          const expected = ledger.expected(group, metric, hour, hour + 1) ?? 0;
          expectNear(number, expected, `${group} ${Metric[metric]} at hour ${hour}`, metric);
        }
      }
    }
  }
}

function compare(
  group: string,
  results: readonly MetricResult[] = [],
  ledger: Ledger,
  first: number,
  end: number,
): void {
  expect(results.map(({ metric }) => metric)).toEqual(allMetrics);
  for (const { metric, value } of results) {
    const expected = ledger.expected(group, metric, first, end);
    expectNear(value, expected, `${group} ${Metric[metric]}`, metric);
  }
}

/** Counts are equal; times may differ by what they were rounded, quantiles by one percent. */
function expectNear(
  actual: number | undefined,
  expected: number | undefined,
  what: string,
  metric: Metric,
): void {
  if (actual === undefined || expected === undefined) {
    expect(actual, what).toBe(expected);
    return;
  }
  const near = quantiles.includes(metric) ? 0.010_1 * expected + 0.002 : 1e-6 * expected + 1e-3;
  expect(Math.abs(actual - expected), `${what}: ${actual}, not ${expected}`).toBeLessThanOrEqual(
    near,
  );
}
