import { durationMs } from "@bufbuild/protobuf/wkt";
import type { CleanupSessionsRequest } from "@sessiond/contract";
import { InvalidFieldError } from "../../errors.ts";
import type { StoredSession } from "../../store/store.ts";
import { filterOf } from "../filter/filter-of.ts";
import type { SessionFilter } from "../filter/session-filter.ts";
import { ageMs, idleMs } from "../lifecycle/elapsed.ts";

/** How long a session is idle that matches when nothing is said. */
const defaultIdleMs = 30 * 60_000;

/** Which sessions a cleanup is about. */
export interface Criteria {
  /** Sessions younger than this cannot match. */
  readonly minAgeMs: number;
  /**
   * Why a session matches, in words; undefined: it does not.
   *
   * Errors: FilterFailedError.
   */
  why(stored: StoredSession, nowMs: number): string | undefined;
}

/** Errors: InvalidFieldError, also for a filter that does not compile. */
export async function criteriaOf(request: CleanupSessionsRequest): Promise<Criteria> {
  const { age, minErrorRate, minRequests, filter } = request;
  if (minRequests > 0 && minErrorRate === undefined) {
    throw new InvalidFieldError({
      field: "min_requests",
      description: "says nothing without min_error_rate; set that, or leave it out",
    });
  }
  const passes = await filterOf(filter);
  const isOpen = age === undefined && minErrorRate === undefined && filter === "";
  const minIdleMs = request.idle ? durationMs(request.idle) : isOpen ? defaultIdleMs : undefined;
  const minAgeMs = age && durationMs(age);
  const checks: Check[] = [
    ...(minIdleMs === undefined ? [] : [idleFor(minIdleMs)]),
    ...(minAgeMs === undefined ? [] : [createdBefore(minAgeMs)]),
    ...(minErrorRate === undefined ? [] : [failing(minErrorRate, Math.max(1, minRequests))]),
    // Last, because it takes longest.
    ...(filter === "" ? [] : [passing(passes)]),
  ];
  return {
    // Nobody is idle for longer than since the creation.
    minAgeMs: Math.max(minIdleMs ?? 0, minAgeMs ?? 0),
    why(stored, nowMs) {
      const reasons: string[] = [];
      for (const check of checks) {
        const reason = check(stored, nowMs);
        if (reason === undefined) return undefined;
        reasons.push(reason);
      }
      return reasons.join(", ");
    },
  };
}

type Check = (stored: StoredSession, nowMs: number) => string | undefined;

function idleFor(minMs: number): Check {
  return (stored, nowMs) => {
    const ms = idleMs(stored, nowMs);
    return ms >= minMs ? `idle for ${spanText(ms)}` : undefined;
  };
}

function createdBefore(minMs: number): Check {
  return (stored, nowMs) => {
    const ms = ageMs(stored, nowMs);
    return ms >= minMs ? `created ${spanText(ms)} ago` : undefined;
  };
}

function failing(minRate: number, minRequests: number): Check {
  return ({ head }) => {
    const { count = 0, errors = 0, errorRate = 0 } = head.metrics?.requests ?? {};
    if (count < minRequests || errorRate <= minRate) return undefined;
    return `${errors} of ${count} requests failed`;
  };
}

function passing(passes: SessionFilter): Check {
  return (stored, nowMs) => (passes({ stored, nowMs }) ? "the filter is true" : undefined);
}

/** Milliseconds in their largest whole unit. */
function spanText(ms: number): string {
  const units = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
  ] as const;
  const [unitMs, unit] = units.find(([size]) => ms >= size) ?? [1, "ms"];
  return `${Math.floor(ms / unitMs)} ${unit}`;
}
