import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Metric, type MetricGroup, MetricGrouping } from "@sessiond/contract";
import { type CallOptions, toConnectOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { toDuration } from "../duration.ts";
import { UsageError } from "../errors/client-errors.ts";
import { wordFor } from "../words.ts";
import {
  type MetricBasisWord,
  type MetricBucketWord,
  type MetricGroupingWord,
  type MetricWord,
  metricBases,
  metricBuckets,
  metricGroupings,
  metricNames,
  type SometimesMetric,
} from "./words.ts";

/** A length of time: `7d`, `24h`, `90m`, or milliseconds. */
export type Period = `${number}${"m" | "h" | "d"}` | number;

/** Which sessions, over which period. */
export interface MetricsQuery extends CallOptions {
  /** Only sessions of this agent. Default: of any. */
  readonly agentId?: string | undefined;
  /** Only sessions of this user. Default: of any. */
  readonly userId?: string | undefined;
  /** Only sessions with this value of a label. Default: any. */
  readonly label?: { readonly key: string; readonly value: string } | undefined;
  /** How far back from `to`, in whole hours of which the last is that of `to`. Default: from `from`, or 7 days. */
  readonly period?: Period | undefined;
  /** Beginning, rounded down to the hour. Not together with `period`. */
  readonly from?: Date | undefined;
  /** End, rounded up to the hour. Default: now. */
  readonly to?: Date | undefined;
}

export interface GetMetricsOptions<M extends MetricWord> extends MetricsQuery {
  /** Which numbers. */
  readonly metrics: readonly M[];
}

export interface AggregateOptions<M extends MetricWord> extends MetricsQuery {
  /** Which numbers. Default: `defaultMetrics`. */
  readonly metrics?: readonly M[] | undefined;
  /** Numbers for each agent, user and so on, beside the total. Default: the total alone. */
  readonly groupBy?: MetricGroupingWord | undefined;
  /** Numbers for each hour, or each stretch of 24 hours, beside those of the period. Default: none. */
  readonly bucket?: MetricBucketWord | undefined;
  /** Groups with the largest come first. Default "sessions_total". */
  readonly orderBy?: MetricWord | undefined;
  /** Most groups. Default 100, at most 1,000. */
  readonly maxGroups?: number | undefined;
  /** Most sessions that are looked at where nothing was counted. Default 10,000. */
  readonly maxSessions?: number | undefined;
}

/** Numbers by the names that were asked for; undefined where there is none, as the mean of nothing. */
export type MetricValues<M extends MetricWord> = {
  readonly [K in M]: K extends SometimesMetric ? number | undefined : number;
};

/** The numbers of one group. */
export interface AggregateGroup<M extends MetricWord> {
  /** Agent, user, or whatever the group is of; "" for all. */
  readonly value: string;
  readonly metrics: MetricValues<M>;
  /** Of each part of the period, from the oldest on; 0 where there is none. Empty without `bucket`. */
  readonly buckets: { readonly [K in M]: readonly number[] };
}

export interface Aggregate<M extends MetricWord> {
  /** The period, in whole hours. */
  readonly from: Date;
  readonly to: Date;
  readonly total: AggregateGroup<M>;
  /** In the order of `orderBy`. */
  readonly groups: readonly AggregateGroup<M>[];
  /** Groups there are, also those beyond `maxGroups`. */
  readonly groupCount: number;
  readonly basis: MetricBasisWord;
  /** Something is missing: there were too many sessions or groups, or records are damaged. */
  readonly partial: boolean;
  /** Sessions that were looked at; 0 for facts. */
  readonly scannedSessions: number;
}

/** What `aggregate` gives unless other metrics are named. */
export const defaultMetrics = [
  "sessions_total",
  "success_rate",
  "avg_duration",
  "tokens_total",
  "cost",
  "errors",
  "tool_calls",
  "compactions",
  "sessions_active",
] as const satisfies readonly MetricWord[];

export type DefaultMetric = (typeof defaultMetrics)[number];

/** Numbers over many sessions. */
export class Metrics {
  readonly #context: ClientContext;

  constructor(context: ClientContext) {
    this.#context = context;
  }

  /**
   * Gets some numbers of an agent, a user, a label, or of all sessions.
   *
   * ```ts
   * const metrics = await sessiond.metrics.get({
   *   agentId: "researcher",
   *   period: "7d",
   *   metrics: ["sessions_total", "avg_duration", "success_rate"],
   * });
   * console.log(metrics.sessions_total, metrics.avg_duration, metrics.success_rate);
   * ```
   *
   * Errors: InvalidFieldError, UsageError.
   */
  async get<M extends MetricWord>(options: GetMetricsOptions<M>): Promise<MetricValues<M>> {
    return (await this.aggregate(options)).total.metrics;
  }

  /**
   * Gets numbers by agent, user or label, and by hour or day.
   *
   * ```ts
   * const { groups } = await sessiond.metrics.aggregate({ groupBy: "agent", period: "24h", bucket: "hour" });
   * for (const { value, metrics, buckets } of groups) console.log(value, metrics.cost, buckets.sessions_total);
   * ```
   *
   * Errors: InvalidFieldError, UsageError.
   */
  async aggregate<M extends MetricWord = DefaultMetric>(
    options: AggregateOptions<M> = {},
  ): Promise<Aggregate<M>> {
    const { clients, namespace } = this.#context;
    const { period, from, to, groupBy, bucket, orderBy, agentId, userId, label } = options;
    const metrics = options.metrics ?? (defaultMetrics as readonly MetricWord[] as readonly M[]);
    const call = clients.metrics.aggregateMetrics(
      {
        namespace,
        metrics: metrics.map(metricOf),
        ...(period !== undefined && { period: toDuration("period", millisecondsOf(period)) }),
        ...(from && { startTime: timestampFromDate(from) }),
        ...(to && { endTime: timestampFromDate(to) }),
        ...groupingOf(groupBy),
        ...(bucket && { bucket: metricBuckets[bucket] }),
        ...(orderBy && { orderBy: metricOf(orderBy) }),
        ...(agentId !== undefined && { agentId }),
        ...(userId !== undefined && { userId }),
        ...(label && { label: { key: label.key, value: label.value } }),
        maxGroups: options.maxGroups ?? 0,
        maxSessions: options.maxSessions ?? 0,
      },
      toConnectOptions(options),
    );
    const answer = await translated(call);
    const of = (group: MetricGroup | undefined) => groupOf(metrics, group);
    return {
      from: answer.startTime ? timestampDate(answer.startTime) : new Date(0),
      to: answer.endTime ? timestampDate(answer.endTime) : new Date(0),
      total: of(answer.total),
      groups: answer.groups.map(of),
      groupCount: answer.groupCount,
      basis: wordFor(metricBases, answer.basis) ?? "sessions",
      partial: answer.partial,
      scannedSessions: answer.scannedSessions,
    };
  }
}

function groupOf<M extends MetricWord>(
  metrics: readonly M[],
  group: MetricGroup | undefined,
): AggregateGroup<M> {
  const results = metrics.map((name, index) => [name, group?.results[index]] as const);
  return {
    value: group?.value ?? "",
    metrics: Object.fromEntries(
      results.map(([name, result]) => [name, result?.value]),
    ) as MetricValues<M>,
    buckets: Object.fromEntries(
      results.map(([name, result]) => [name, result?.buckets ?? []]),
    ) as Record<M, number[]>,
  };
}

function metricOf(name: MetricWord): Metric {
  if (Object.hasOwn(metricNames, name)) return metricNames[name];
  const names = Object.keys(metricNames).join(", ");
  throw new UsageError(`there is no metric "${String(name)}"; there are ${names}`);
}

function groupingOf(groupBy: MetricGroupingWord | undefined) {
  if (groupBy === undefined) return {};
  if (typeof groupBy === "object") {
    return { groupBy: MetricGrouping.LABEL, labelKey: groupBy.label };
  }
  if (Object.hasOwn(metricGroupings, groupBy)) return { groupBy: metricGroupings[groupBy] };
  const names = Object.keys(metricGroupings).join(", ");
  throw new UsageError(`groupBy is "${groupBy}"; it may be ${names} or { label: "…" }`);
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function millisecondsOf(period: Period): number {
  if (typeof period === "number") return period;
  const [, number, unit] = /^(\d+(?:\.\d+)?)([mhd])$/.exec(period) ?? [];
  if (number === undefined) {
    throw new UsageError(`period is "${period}"; give it as "7d", "24h", "90m" or in milliseconds`);
  }
  return Number(number) * unitMs[unit as keyof typeof unitMs];
}
