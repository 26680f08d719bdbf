import { limits } from "../limits.ts";
import { parseRollupKey, prefixEnd, rollupKey, rollupPrefix } from "./keys.ts";

const hourMs = 3_600_000;
/** Rollups are looked through again so long after the last time. */
const sweepEveryMs = hourMs;

/**
 * Finds rollups of hours that are too old, a piece at a time: they lie at the beginning of each dimension,
 * and from there it goes to the next.
 */
export class RollupSweep {
  readonly #firstFrom: (key: Uint8Array) => Uint8Array | undefined;
  #next: Uint8Array = Buffer.alloc(1);
  #nextSweepMs = Number.NEGATIVE_INFINITY;

  /** `firstFrom`: the first key of a rollup that is not before another. */
  constructor(firstFrom: (key: Uint8Array) => Uint8Array | undefined) {
    this.#firstFrom = firstFrom;
  }

  /** Looks at up to `limit` keys. The keys it gives are to be removed before it is called again. */
  find({ nowMs, limit }: { nowMs: number; limit: number }): {
    readonly keys: readonly Uint8Array[];
    readonly more: boolean;
  } {
    const keys: Uint8Array[] = [];
    if (nowMs < this.#nextSweepMs) return { keys, more: false };
    const firstHour = Math.max(0, Math.floor((nowMs - limits.rollupTtlMs) / hourMs));
    for (let looks = 0; looks < limit; looks++) {
      const key = this.#firstFrom(this.#next);
      if (key === undefined) {
        this.#next = Buffer.alloc(1);
        this.#nextSweepMs = nowMs + sweepEveryMs;
        return { keys, more: false };
      }
      const rollup = parseRollupKey(key);
      if (rollup.part !== "active" && rollup.hour < firstHour) {
        keys.push(key);
        this.#next = rollupKey({ ...rollup, value: `${rollup.value}\0` });
      } else {
        this.#next = prefixEnd(rollupPrefix(rollup));
      }
    }
    return { keys, more: true };
  }
}
