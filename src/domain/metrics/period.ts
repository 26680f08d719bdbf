import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type AggregateMetricsRequest, MetricBucket } from "@sessiond/contract";
import { InvalidFieldError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { hourMs } from "./log-facts.ts";

/** Whole hours since 1970, and how they are divided. */
export interface Period {
  readonly firstHour: number;
  /** The hour behind the last. */
  readonly endHour: number;
  /** Parts of it; 0: it is not divided. */
  readonly buckets: number;
  bucketOf(hour: number): number;
}

const defaultMs = 7 * 24 * hourMs;
const maxHours = limits.rollupTtlMs / hourMs;
/** Hours that fit into a key. */
const lastHour = 0xffff_ffff;

const bucketHours = {
  [MetricBucket.UNSPECIFIED]: 0,
  [MetricBucket.HOUR]: 1,
  [MetricBucket.DAY]: 24,
} satisfies Record<MetricBucket, number>;

/** The period that a request means. Errors: InvalidFieldError. */
export function periodOf(request: AggregateMetricsRequest, nowMs: number): Period {
  const { period, startTime, endTime, bucket } = request;
  if (period !== undefined && startTime !== undefined) {
    throw new InvalidFieldError({
      field: "period",
      description: "stands together with start_time; leave out one of them",
    });
  }
  // The hour of now is part of it, also at its first moment.
  const endHour = endTime ? hourAt(timestampMs(endTime), Math.ceil) : hourAt(nowMs, Math.floor) + 1;
  const hours = Math.ceil((period ? durationMs(period) : defaultMs) / hourMs);
  const firstHour = startTime
    ? hourAt(timestampMs(startTime), Math.floor)
    : Math.max(0, endHour - hours);
  const field = startTime === undefined ? "period" : "start_time";
  if (firstHour >= endHour) {
    throw new InvalidFieldError({
      field,
      description: "is not before the end of the period; give an earlier time",
    });
  }
  if (endHour - firstHour > maxHours || (period && hours > maxHours)) {
    throw new InvalidFieldError({
      field,
      description: `makes a period of more than ${maxHours / 24} days; ask for a shorter one`,
    });
  }
  const size = bucketHours[bucket];
  return {
    firstHour,
    endHour,
    buckets: size === 0 ? 0 : Math.ceil((endHour - firstHour) / size),
    bucketOf: (hour) => Math.floor((hour - firstHour) / Math.max(1, size)),
  };
}

function hourAt(ms: number, round: (hours: number) => number): number {
  return Math.min(lastHour, Math.max(0, round(ms / hourMs)));
}
