import type { JsonObject } from "@bufbuild/protobuf";
import type { Aggregate, AggregateGroup, MetricGroupingWord, MetricWord } from "@sessiond/client";
import type { Host } from "../host.ts";
import { paintFor } from "../text/colours.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";
import { cut } from "../text/width.ts";
import { metricText, metricTitle } from "./metric-text.ts";
import { fitted, showsUnicode, sparkline } from "./sparkline.ts";

/** Bars of a line. */
const barColumns = 24;

/** What is shown of an aggregate. */
interface Shown {
  readonly metrics: readonly MetricWord[];
  readonly groupBy?: MetricGroupingWord | undefined;
}

/** Writes numbers as a table with bars, and what there is to say about them to stderr. */
export async function writeAggregate(
  host: Host,
  aggregate: Aggregate<MetricWord>,
  { metrics, groupBy }: Shown,
): Promise<void> {
  const { stdout, stderr, env } = host;
  const { total, groups, groupCount, from, to, partial, basis, scannedSessions } = aggregate;
  const isUnicode = showsUnicode(env);
  const paint = paintFor(stdout);
  const period = `${time(from)} to ${time(to)} UTC`;
  if (isEmpty(total) && groups.length === 0) {
    stderr.write(
      `nothing was counted from ${period}; ask for a longer --period, or look with "sessiond sessions"\n`,
    );
    return;
  }
  const row = (name: string, group: AggregateGroup<MetricWord>) => [
    name,
    ...metrics.map((metric) => metricText(metric, group.metrics[metric])),
    sparkline(fitted(group.buckets.sessions_total, barColumns), isUnicode),
  ];
  const title = typeof groupBy === "object" ? groupBy.label : (groupBy ?? "");
  await writeTable(stdout, {
    head: [safe(title).toUpperCase(), ...metrics.map(metricTitle), "SESSIONS"],
    rows: [
      ...groups.map((group) => row(cut(safe(group.value), 40), group)),
      row(paint("bold", "all"), total),
    ],
  });
  stderr.write(`${period}\n`);
  if (groupBy !== undefined && groups.length === 0) {
    stderr.write(`no session of that time has a value for it\n`);
  }
  if (groupCount > groups.length) {
    stderr.write(`${groups.length} of ${groupCount}; --limit shows more\n`);
  }
  if (basis === "sessions") {
    stderr.write(`of the ${scannedSessions} newest sessions created in that time\n`);
  }
  if (partial) stderr.write("some sessions are missing in these numbers: there are too many\n");
}

function isEmpty({ metrics }: AggregateGroup<MetricWord>): boolean {
  return Object.values(metrics).every((value) => value === undefined || value === 0);
}

/** The numbers that were asked for, for programs. */
export function jsonOf(
  aggregate: Aggregate<MetricWord>,
  metrics: readonly MetricWord[],
): JsonObject {
  const { from, to, total, groups, ...rest } = aggregate;
  const numbers = ({ value, metrics: all, buckets }: AggregateGroup<MetricWord>) => ({
    value,
    metrics: Object.fromEntries(metrics.map((metric) => [metric, all[metric] ?? null])),
    buckets: Object.fromEntries(metrics.map((metric) => [metric, [...buckets[metric]]])),
  });
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    total: numbers(total),
    groups: groups.map(numbers),
    ...rest,
  };
}

function time(date: Date): string {
  return date.toISOString().slice(0, 16).replace("T", " ");
}
