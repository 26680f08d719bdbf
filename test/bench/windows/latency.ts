import { quantile } from "../support/load.ts";

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Makes calls one at a time. One of each row is made before the next round begins, so that whatever
 * else the machine does is the same for all of them.
 */
export async function inTurns(
  rows: readonly ((round: number) => Promise<unknown>)[],
  { rounds, warmUp }: { rounds: number; warmUp: number },
): Promise<Latency[]> {
  const times = rows.map(() => [] as number[]);
  for (let round = -warmUp; round < rounds; round++) {
    for (const [index, call] of rows.entries()) {
      const startMs = performance.now();
      await call(round + warmUp);
      if (round >= 0) times[index]?.push(performance.now() - startMs);
    }
  }
  return times.map((ms) => ({ p50Ms: quantile(ms, 0.5), p99Ms: quantile(ms, 0.99) }));
}
