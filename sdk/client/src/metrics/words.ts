import { Metric, MetricBasis, MetricBucket, MetricGrouping } from "@sessiond/contract";

/** Metrics by their names. Times are in milliseconds. */
export const metricNames = {
  sessions_total: Metric.SESSIONS_TOTAL,
  sessions_ended: Metric.SESSIONS_ENDED,
  sessions_completed: Metric.SESSIONS_COMPLETED,
  sessions_failed: Metric.SESSIONS_FAILED,
  sessions_cancelled: Metric.SESSIONS_CANCELLED,
  sessions_timed_out: Metric.SESSIONS_TIMED_OUT,
  sessions_limit_reached: Metric.SESSIONS_LIMIT_REACHED,
  sessions_expired: Metric.SESSIONS_EXPIRED,
  sessions_reopened: Metric.SESSIONS_REOPENED,
  sessions_deleted: Metric.SESSIONS_DELETED,
  sessions_active: Metric.SESSIONS_ACTIVE,
  success_rate: Metric.SUCCESS_RATE,
  avg_duration: Metric.AVG_DURATION,
  p50_duration: Metric.P50_DURATION,
  p95_duration: Metric.P95_DURATION,
  p99_duration: Metric.P99_DURATION,
  steps: Metric.STEPS,
  tool_calls: Metric.TOOL_CALLS,
  tool_errors: Metric.TOOL_ERRORS,
  avg_tool_duration: Metric.AVG_TOOL_DURATION,
  p50_tool_duration: Metric.P50_TOOL_DURATION,
  p95_tool_duration: Metric.P95_TOOL_DURATION,
  p99_tool_duration: Metric.P99_TOOL_DURATION,
  events: Metric.EVENTS,
  messages: Metric.MESSAGES,
  turns: Metric.TURNS,
  errors: Metric.ERRORS,
  tokens_total: Metric.TOKENS_TOTAL,
  tokens_input: Metric.TOKENS_INPUT,
  tokens_output: Metric.TOKENS_OUTPUT,
  reported_tokens_input: Metric.REPORTED_TOKENS_INPUT,
  reported_tokens_output: Metric.REPORTED_TOKENS_OUTPUT,
  cost: Metric.COST,
  saved_cost: Metric.SAVED_COST,
  compactions: Metric.COMPACTIONS,
  compaction_ratio: Metric.COMPACTION_RATIO,
  requests: Metric.REQUESTS,
  request_errors: Metric.REQUEST_ERRORS,
  avg_request_duration: Metric.AVG_REQUEST_DURATION,
  stored_bytes: Metric.STORED_BYTES,
} as const;

/** Name of a number over many sessions. */
export type MetricWord = keyof typeof metricNames;

/** Metrics that there may be none of: means, rates and quantiles of nothing, and facts that no session tells. */
export type SometimesMetric =
  | `${"avg" | "p50" | "p95" | "p99"}_${string}`
  | "success_rate"
  | "compaction_ratio"
  | "sessions_reopened"
  | "sessions_deleted";

/** What sessions are put together by; a label by its key. */
export type MetricGroupingWord = keyof typeof metricGroupings | { readonly label: string };

export const metricGroupings = {
  agent: MetricGrouping.AGENT,
  user: MetricGrouping.USER,
  model: MetricGrouping.MODEL,
  state: MetricGrouping.STATE,
  preset: MetricGrouping.PRESET,
  title: MetricGrouping.TITLE,
} as const;

/** How a period is divided. */
export type MetricBucketWord = keyof typeof metricBuckets;

export const metricBuckets = { hour: MetricBucket.HOUR, day: MetricBucket.DAY } as const;

/** What numbers are made of: what happened in the period, or the sessions that were created in it. */
export type MetricBasisWord = keyof typeof metricBases;

export const metricBases = {
  facts: MetricBasis.FACTS,
  sessions: MetricBasis.SESSIONS,
} as const;
