import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AggregateMetricsRequest,
  AggregateMetricsRequestSchema,
  type AggregateMetricsResponse,
  AggregateMetricsResponseSchema,
  Metric,
  MetricBasis,
  type MetricGroup,
  MetricGrouping,
  MetricGroupSchema,
  MetricResultSchema,
  type Session,
  SessionState,
} from "@sessiond/contract";
import { InvalidFieldError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import type { RollupSeries, SessionIndex, Store } from "../../store/store.ts";
import { namespaceOf } from "../names.ts";
import type { SessionCells } from "../session-cells.ts";
import { Turns } from "../turns.ts";
import { validate } from "../validation/validate.ts";
import { hourMs } from "./log-facts.ts";
import { metricValue, partsOf } from "./metric-values.ts";
import { type Period, periodOf } from "./period.ts";
import { RollupCache } from "./rollup-cache.ts";
import { readRollups } from "./rollup-reader.ts";
import { scanSessions } from "./session-scan.ts";
import { Tallies, Tally } from "./tallies.ts";

const defaultMetrics = [
  Metric.SESSIONS_TOTAL,
  Metric.SUCCESS_RATE,
  Metric.AVG_DURATION,
  Metric.TOKENS_TOTAL,
  Metric.COST,
  Metric.ERRORS,
  Metric.TOOL_CALLS,
  Metric.COMPACTIONS,
  Metric.SESSIONS_ACTIVE,
] as const;

/** A request as it is understood. */
interface Query {
  readonly namespace: string;
  readonly request: AggregateMetricsRequest;
  readonly period: Period;
  readonly metrics: readonly Metric[];
  readonly orderBy: Metric;
  readonly maxGroups: number;
}

/** What was counted, before it is put in order. */
interface Counted {
  readonly total: Tally;
  readonly groups: readonly (readonly [string, Tally])[];
  readonly basis: MetricBasis;
  readonly partial: boolean;
  readonly scanned: number;
}

/** Numbers over many sessions. */
export class Aggregates {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #clock: Clock;
  readonly #labels: readonly string[];
  readonly #cache: RollupCache;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    clock: Clock;
    /** Keys of the labels by which sessions are counted. Default: none. */
    metricLabels?: readonly string[];
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#clock = args.clock;
    this.#labels = args.metricLabels ?? [];
    this.#cache = new RollupCache({ onCommit: (listener) => args.store.onCommit(listener) });
  }

  /** Errors: as documented at the rpc. */
  async aggregate(request: AggregateMetricsRequest): Promise<AggregateMetricsResponse> {
    const query = queryOf(request, this.#clock());
    const { period } = query;
    const series = this.#seriesOf(query);
    const counted = series ? await this.#read(query, series) : await this.#scan(query);
    const groups = inOrder(counted, query).slice(0, query.maxGroups);
    return create(AggregateMetricsResponseSchema, {
      startTime: timestampFromMs(period.firstHour * hourMs),
      endTime: timestampFromMs(period.endHour * hourMs),
      bucketCount: period.buckets,
      total: groupOf("", counted.total, query, counted.basis),
      groups: groups.map(([value, tally]) => groupOf(value, tally, query, counted.basis)),
      groupCount: counted.groups.length,
      basis: counted.basis,
      partial: counted.partial,
      scannedSessions: counted.scanned,
    });
  }

  /** What was counted of it: the total, and the groups if there are to be any. Undefined: nothing. */
  #seriesOf({
    namespace,
    request,
  }: Query):
    | { readonly total: RollupSeries; readonly groups?: Omit<RollupSeries, "value"> }
    | undefined {
    const { agentId, userId, label, groupBy, labelKey } = request;
    const filters: RollupSeries[] = [];
    const none = { namespace, label: "" } as const;
    if (agentId !== "") filters.push({ ...none, dimension: "agent", value: agentId });
    if (userId !== "") filters.push({ ...none, dimension: "user", value: userId });
    if (label !== undefined) {
      if (!this.#labels.includes(label.key)) return undefined;
      filters.push({ namespace, dimension: "label", label: label.key, value: label.value });
    }
    const [filter, another] = filters;
    if (another !== undefined) return undefined;
    const total = filter ?? { ...none, dimension: "all", value: "" };
    if (groupBy === MetricGrouping.UNSPECIFIED) return { total };
    const groups = this.#groupsOf(namespace, groupBy, labelKey);
    if (groups === undefined) return undefined;
    const isOther = groups.dimension !== filter?.dimension || groups.label !== filter.label;
    return filter !== undefined && isOther ? undefined : { total, groups };
  }

  #groupsOf(
    namespace: string,
    groupBy: MetricGrouping,
    labelKey: string,
  ): Omit<RollupSeries, "value"> | undefined {
    if (groupBy === MetricGrouping.AGENT) return { namespace, dimension: "agent", label: "" };
    if (groupBy === MetricGrouping.USER) return { namespace, dimension: "user", label: "" };
    const isCounted = groupBy === MetricGrouping.LABEL && this.#labels.includes(labelKey);
    return isCounted ? { namespace, dimension: "label", label: labelKey } : undefined;
  }

  /** Reads what was counted; where that is much, once more for the groups that are in the answer. */
  async #read(
    query: Query,
    series: { total: RollupSeries; groups?: Omit<RollupSeries, "value"> },
  ): Promise<Counted> {
    const { period, metrics, orderBy } = query;
    const turns = new Turns();
    const parts = partsOf([...metrics, orderBy]);
    const store = this.#store;
    const cache = this.#cache;
    const totals = new Tallies(period);
    const isTotalWhole = await readRollups(
      { store, cache, series: series.total, parts, period, turns },
      totals,
    );
    const [[, total] = ["", new Tally()]] = totals.entries;
    const facts = { basis: MetricBasis.FACTS, scanned: 0 } as const;
    if (series.groups === undefined) return { total, groups: [], partial: !isTotalWhole, ...facts };
    if (series.total.dimension !== "all") {
      const groups = totals.entries.map(() => [series.total.value, total] as const);
      return { total, groups, partial: !isTotalWhole, ...facts };
    }
    const tallies = new Tallies(period);
    const source = { store, cache, series: series.groups, turns, period };
    const areGroupsWhole = await readRollups({ ...source, parts }, tallies);
    const partial = !isTotalWhole || !areGroupsWhole || tallies.isFull;
    const found = { total, groups: tallies.entries, partial, ...facts };
    if (tallies.isDivided) return found;
    const chosen = new Set(
      inOrder(found, query)
        .slice(0, query.maxGroups)
        .map(([value]) => value),
    );
    const divided = new Tallies(period);
    const takes = (value: string) => chosen.has(value);
    await readRollups({ ...source, parts: partsOf(metrics), takes }, divided);
    const byValue = new Map(divided.entries);
    // The order is that of the first look; what was counted since is in the second.
    const groups = tallies.entries.map(
      ([value, tally]) => [value, byValue.get(value) ?? tally] as const,
    );
    return { ...found, groups };
  }

  async #scan(query: Query): Promise<Counted> {
    const { namespace, request, period } = query;
    const total = new Tallies(period);
    const tallies = new Tallies(period);
    const turns = new Turns();
    const { scanned, partial } = await scanSessions({
      store: this.#store,
      cells: this.#cells,
      clock: this.#clock,
      turns,
      namespace,
      index: indexOf(request),
      period,
      maxSessions: request.maxSessions,
      take: (session, hour, add) => {
        if (!matches(session, request)) return;
        for (const sums of total.of("", hour)) add(sums);
        const value = valueIn(session, request);
        if (value === undefined || value === "") return;
        for (const sums of tallies.of(value, hour)) add(sums);
      },
    });
    const [[, whole] = ["", new Tally()]] = total.entries;
    const groups = tallies.entries;
    const isPartial = partial || tallies.isFull || !tallies.isDivided;
    return { total: whole, groups, basis: MetricBasis.SESSIONS, partial: isPartial, scanned };
  }
}

/** Errors: InvalidFieldError. */
function queryOf(request: AggregateMetricsRequest, nowMs: number): Query {
  validate(AggregateMetricsRequestSchema, request);
  const { groupBy, labelKey } = request;
  const isByLabel = groupBy === MetricGrouping.LABEL;
  if (isByLabel !== (labelKey !== "")) {
    throw new InvalidFieldError({
      field: "label_key",
      description: isByLabel
        ? "is required with METRIC_GROUPING_LABEL; name the label"
        : "is for METRIC_GROUPING_LABEL only; leave it out, or group by label",
    });
  }
  const metrics = request.metrics.length === 0 ? defaultMetrics : request.metrics;
  checkMetrics(metrics);
  const period = periodOf(request, nowMs);
  const numbersEach = metrics.length * (1 + period.buckets);
  const maxGroups = request.maxGroups || defaultGroups(numbersEach);
  const groups = 1 + (groupBy === MetricGrouping.UNSPECIFIED ? 0 : maxGroups);
  const numbers = groups * numbersEach;
  if (numbers > limits.metricNumbers) {
    throw new InvalidFieldError({
      field: "bucket",
      description: `makes ${numbers} numbers of ${groups} groups, ${metrics.length} metrics and ${period.buckets} buckets, the limit is ${limits.metricNumbers}; ask for a shorter period, larger buckets, fewer groups or metrics`,
    });
  }
  return {
    namespace: namespaceOf(request.namespace),
    request,
    period,
    metrics,
    orderBy: request.orderBy === Metric.UNSPECIFIED ? Metric.SESSIONS_TOTAL : request.orderBy,
    maxGroups,
  };
}

/** As many as there is room for, but for the total. */
function defaultGroups(numbersEach: number): number {
  const most = Math.floor(limits.metricNumbers / numbersEach) - 1;
  return Math.max(1, Math.min(limits.defaultMetricGroups, most));
}

function checkMetrics(metrics: readonly Metric[]): void {
  const unsaid = metrics.indexOf(Metric.UNSPECIFIED);
  const again = metrics.findIndex((metric, index) => metrics.indexOf(metric) !== index);
  const wrong = unsaid >= 0 ? unsaid : again;
  if (wrong < 0) return;
  throw new InvalidFieldError({
    field: `metrics[${wrong}]`,
    description:
      wrong === unsaid ? "names no metric; name one that there is" : "stands twice; leave one out",
  });
}

/** The largest first; those that have no number last, and what is equal by its name. */
function inOrder(counted: Counted, { orderBy }: Query): readonly (readonly [string, Tally])[] {
  const { of } = metricValue(orderBy);
  const weighed = counted.groups.map((group) => {
    return { group, weight: of(group[1].whole) ?? Number.NEGATIVE_INFINITY };
  });
  weighed.sort((a, b) => b.weight - a.weight || (a.group[0] < b.group[0] ? -1 : 1));
  return weighed.map(({ group }) => group);
}

function groupOf(
  value: string,
  tally: Tally,
  { metrics, period }: Query,
  basis: MetricBasis,
): MetricGroup {
  const results = metrics.map((metric) => {
    const { of, part, isOfFactsOnly = false } = metricValue(metric);
    const isKnown = basis === MetricBasis.FACTS || !isOfFactsOnly;
    const whole = isKnown ? of(tally.whole) : undefined;
    const hasBuckets = isKnown && part !== "active";
    const buckets = Array.from({ length: hasBuckets ? period.buckets : 0 }, (_, at) => {
      const sums = tally.bucketIfAny(at);
      return (sums && of(sums)) ?? 0;
    });
    return create(MetricResultSchema, {
      metric,
      ...(whole !== undefined && { value: whole }),
      buckets,
    });
  });
  return create(MetricGroupSchema, { value, results });
}

function indexOf({ agentId, userId }: AggregateMetricsRequest): SessionIndex {
  if (userId !== "") return { by: "user", value: userId };
  return agentId !== "" ? { by: "agent", value: agentId } : { by: "all" };
}

function matches(session: Session, { agentId, userId, label }: AggregateMetricsRequest): boolean {
  return (
    (agentId === "" || session.agentId === agentId) &&
    (userId === "" || session.userId === userId) &&
    (label === undefined || labelOf(session, label.key) === label.value)
  );
}

/** The group that a session belongs to. */
function valueIn(
  session: Session,
  { groupBy, labelKey }: AggregateMetricsRequest,
): string | undefined {
  switch (groupBy) {
    case MetricGrouping.UNSPECIFIED:
      return undefined;
    case MetricGrouping.AGENT:
      return session.agentId;
    case MetricGrouping.USER:
      return session.userId;
    case MetricGrouping.LABEL:
      return labelOf(session, labelKey);
    case MetricGrouping.MODEL:
      return session.model;
    case MetricGrouping.STATE:
      return SessionState[session.state].toLowerCase();
    case MetricGrouping.PRESET:
      return session.preset;
    case MetricGrouping.TITLE:
      return session.title;
  }
}

function labelOf({ labels }: Session, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
