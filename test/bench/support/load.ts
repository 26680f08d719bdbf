import { setTimeout as sleep } from "node:timers/promises";

/** What a run of calls took. */
export interface Load {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Makes one call; `index` counts them. */
export type Call = (index: number) => Promise<unknown>;

/** Keeps `inFlight` calls under way for a time and measures each. */
export async function load(args: {
  readonly inFlight: number;
  readonly durationMs: number;
  readonly call: Call;
}): Promise<Load> {
  const { inFlight, durationMs, call } = args;
  const latencies: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + durationMs;
  let index = 0;
  const caller = async () => {
    for (let beginMs = performance.now(); beginMs < endMs; ) {
      await call(index++);
      const nowMs = performance.now();
      latencies.push(nowMs - beginMs);
      beginMs = nowMs;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return summary(latencies, performance.now() - startMs);
}

/**
 * Begins calls at a fixed rate, whether the ones before are done or not, and measures each from the
 * time it was due, so that a pause counts for every call it delays.
 */
export async function paced(args: {
  readonly perSecond: number;
  readonly durationMs: number;
  readonly call: (index: number, dueMs: number) => Promise<unknown>;
}): Promise<Load> {
  const { perSecond, durationMs, call } = args;
  const latencies: number[] = [];
  const underWay: Promise<unknown>[] = [];
  const startMs = performance.now();
  const calls = Math.floor((perSecond * durationMs) / 1_000);
  for (let index = 0; index < calls; index++) {
    const dueMs = startMs + (index * 1_000) / perSecond;
    while (performance.now() < dueMs) await sleep(1);
    underWay.push(
      call(index, dueMs).then(() => {
        latencies.push(performance.now() - dueMs);
      }),
    );
  }
  await Promise.all(underWay);
  return summary(latencies, performance.now() - startMs);
}

function summary(latencies: readonly number[], elapsedMs: number): Load {
  return {
    perSecond: (latencies.length / elapsedMs) * 1_000,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value at an index; beyond the end they begin again. */
export function at<T>(values: readonly T[], index: number): T {
  const value = values[index % values.length];
  if (value === undefined) throw new RangeError("no values");
  return value;
}
