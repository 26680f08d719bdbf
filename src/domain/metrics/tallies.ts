import { limits } from "../../limits.ts";
import { Sums } from "./metric-values.ts";
import type { Period } from "./period.ts";

/** The sums of one group, over a whole period and, where wanted, over each part of it. */
export class Tally {
  readonly whole = new Sums();
  readonly #buckets = new Map<number, Sums>();

  bucket(at: number): Sums {
    let sums = this.#buckets.get(at);
    if (sums === undefined) {
      sums = new Sums();
      this.#buckets.set(at, sums);
    }
    return sums;
  }

  /** Undefined: nothing was counted in that part of the period. */
  bucketIfAny(at: number): Sums | undefined {
    return this.#buckets.get(at);
  }
}

/** Parts of periods that groups are divided into at once; beyond it the largest alone are, later. */
const maxCells = 20_000;

/** Groups by their value, while they are put together. */
export class Tallies {
  readonly #period: Period;
  readonly #tallies = new Map<string, Tally>();
  #cells = 0;
  /** Groups beyond the limit were left out. */
  isFull = false;

  constructor(period: Period) {
    this.#period = period;
  }

  get entries(): readonly (readonly [string, Tally])[] {
    return [...this.#tallies];
  }

  /** Every group has the sums of every part of the period. */
  get isDivided(): boolean {
    return this.#cells <= maxCells;
  }

  /** The sums that something of an hour goes into. `hour` undefined: it is of now, and of no part. */
  of(value: string, hour: number | undefined): readonly Sums[] {
    const tally = this.#of(value);
    if (tally === undefined) return [];
    const { buckets } = this.#period;
    if (hour === undefined || buckets === 0 || !this.isDivided) return [tally.whole];
    const at = this.#period.bucketOf(hour);
    if (tally.bucketIfAny(at) === undefined) this.#cells += 1;
    return [tally.whole, tally.bucket(at)];
  }

  #of(value: string): Tally | undefined {
    let tally = this.#tallies.get(value);
    if (tally !== undefined) return tally;
    if (this.#tallies.size >= limits.metricValues) {
      this.isFull = true;
      return undefined;
    }
    tally = new Tally();
    this.#tallies.set(value, tally);
    return tally;
  }
}
