import type { MetricWord } from "@sessiond/client";
import { numberText } from "../text/numbers.ts";
import { durationText } from "../text/times.ts";
import { bytesText } from "../upkeep/report.ts";

const costs: readonly MetricWord[] = ["cost", "saved_cost"];

/** A number as people read it, with its unit. */
export function metricText(metric: MetricWord, value: number | undefined): string {
  if (value === undefined) return "-";
  if (metric.endsWith("_duration")) return durationText(value);
  if (metric === "success_rate") return `${Number(value.toFixed(1))}%`;
  if (metric === "compaction_ratio") return value.toFixed(2);
  if (metric === "stored_bytes") return bytesText(value);
  if (costs.includes(metric)) return value === 0 ? "0" : value.toFixed(value < 1 ? 4 : 2);
  return numberText(value);
}

/** The name of a metric over a column. */
export function metricTitle(metric: MetricWord): string {
  return metric.replaceAll("_", " ").toUpperCase();
}
