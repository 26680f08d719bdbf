import { Metric } from "@sessiond/contract";
import {
  addCounters,
  type Counter,
  type Counters,
  counterAt,
  newCounters,
} from "../../store/rollup-counters.ts";
import { Histogram } from "../../store/rollup-histogram.ts";
import type { RollupKey } from "../../store/store.ts";

/** What numbers are computed from. */
export class Sums {
  readonly counters: Counters = newCounters();
  readonly #histograms: { sessions?: Histogram; steps?: Histogram } = {};

  add(counters: Counters): void {
    addCounters(this.counters, counters);
  }

  /** Places of counters, each before what is added to it. */
  addNumbers(numbers: readonly number[]): void {
    for (let i = 0; i < numbers.length; i += 2) {
      const at = numbers[i] ?? 0;
      this.counters[at] = (this.counters[at] ?? 0) + (numbers[i + 1] ?? 0);
    }
  }

  get(name: Counter): number {
    return this.counters[counterAt[name]] ?? 0;
  }

  /** Times in microseconds. */
  histogram(part: "sessions" | "steps"): Histogram {
    this.#histograms[part] ??= new Histogram();
    return this.#histograms[part];
  }
}

type Part = RollupKey["part"];

/** How a metric follows from sums, and which records it needs. */
interface MetricValue {
  readonly part: Part;
  /** Undefined: there is none. */
  readonly of: (sums: Sums) => number | undefined;
  /** Sessions themselves do not say it. */
  readonly isOfFactsOnly?: true;
}

const usPerMs = 1_000;
const ends = ["completed", "failed", "cancelled", "timedOut", "limitReached", "expired"] as const;

const counted = (name: Counter): MetricValue => ({
  part: "counters",
  of: (sums) => sums.get(name),
});
const ofFacts = (value: MetricValue): MetricValue => ({ ...value, isOfFactsOnly: true });
const derived = (of: MetricValue["of"]): MetricValue => ({ part: "counters", of });
const quantile = (part: "sessions" | "steps", q: number): MetricValue => ({
  part,
  of: (sums) => {
    const us = sums.histogram(part).quantile(q);
    return us === undefined ? undefined : us / usPerMs;
  },
});
const mean = (sum: Counter, number: (sums: Sums) => number) =>
  derived((sums) => ratio(sums.get(sum) / usPerMs, number(sums)));

const metricValues = {
  [Metric.UNSPECIFIED]: derived(() => undefined),
  [Metric.SESSIONS_TOTAL]: counted("sessions"),
  [Metric.SESSIONS_ENDED]: derived(endsIn),
  [Metric.SESSIONS_COMPLETED]: counted("completed"),
  [Metric.SESSIONS_FAILED]: counted("failed"),
  [Metric.SESSIONS_CANCELLED]: counted("cancelled"),
  [Metric.SESSIONS_TIMED_OUT]: counted("timedOut"),
  [Metric.SESSIONS_LIMIT_REACHED]: counted("limitReached"),
  [Metric.SESSIONS_EXPIRED]: counted("expired"),
  [Metric.SESSIONS_REOPENED]: ofFacts(counted("reopened")),
  [Metric.SESSIONS_DELETED]: ofFacts(counted("deleted")),
  [Metric.SESSIONS_ACTIVE]: { part: "active", of: (sums) => sums.get("active") },
  [Metric.SUCCESS_RATE]: derived((sums) => ratio(100 * sums.get("completed"), endsIn(sums))),
  [Metric.AVG_DURATION]: mean("sessionUs", endsIn),
  [Metric.P50_DURATION]: quantile("sessions", 0.5),
  [Metric.P95_DURATION]: quantile("sessions", 0.95),
  [Metric.P99_DURATION]: quantile("sessions", 0.99),
  [Metric.STEPS]: counted("steps"),
  [Metric.TOOL_CALLS]: counted("toolCalls"),
  [Metric.TOOL_ERRORS]: counted("toolErrors"),
  [Metric.AVG_TOOL_DURATION]: mean("toolUs", (sums) => sums.get("toolResults")),
  [Metric.P50_TOOL_DURATION]: ofFacts(quantile("steps", 0.5)),
  [Metric.P95_TOOL_DURATION]: ofFacts(quantile("steps", 0.95)),
  [Metric.P99_TOOL_DURATION]: ofFacts(quantile("steps", 0.99)),
  [Metric.EVENTS]: counted("events"),
  [Metric.MESSAGES]: counted("messages"),
  [Metric.TURNS]: counted("turns"),
  [Metric.ERRORS]: counted("errors"),
  [Metric.TOKENS_TOTAL]: counted("tokens"),
  [Metric.TOKENS_INPUT]: counted("inputTokens"),
  [Metric.TOKENS_OUTPUT]: counted("outputTokens"),
  [Metric.REPORTED_TOKENS_INPUT]: counted("reportedInputTokens"),
  [Metric.REPORTED_TOKENS_OUTPUT]: counted("reportedOutputTokens"),
  [Metric.COST]: counted("cost"),
  [Metric.SAVED_COST]: counted("savedCost"),
  [Metric.COMPACTIONS]: counted("compactions"),
  [Metric.COMPACTION_RATIO]: derived((sums) => {
    const left = ratio(sums.get("tokensAfterCompaction"), sums.get("tokensBeforeCompaction"));
    return left === undefined ? undefined : 1 - left;
  }),
  [Metric.REQUESTS]: counted("requests"),
  [Metric.REQUEST_ERRORS]: counted("requestErrors"),
  [Metric.AVG_REQUEST_DURATION]: mean("requestUs", (sums) => sums.get("requests")),
  [Metric.STORED_BYTES]: counted("bytes"),
} as const satisfies Record<Metric, MetricValue>;

/** How a metric is computed. */
export function metricValue(metric: Metric): MetricValue {
  return metricValues[metric];
}

/** Kinds of records that metrics are made of. */
export function partsOf(metrics: readonly Metric[]): ReadonlySet<Part> {
  return new Set(metrics.map((metric) => metricValue(metric).part));
}

function endsIn(sums: Sums): number {
  return ends.reduce((sum, name) => sum + sums.get(name), 0);
}

function ratio(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : part / whole;
}
