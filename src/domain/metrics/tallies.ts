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

/** Groups by their value, while they are put together. */
export class Tallies {
  readonly #period: Period;
  readonly #tallies = new Map<string, Tally>();
  /** Groups beyond the limit were left out. */
  isFull = false;

  constructor(period: Period) {
    this.#period = period;
  }

  get entries(): readonly (readonly [string, Tally])[] {
    return [...this.#tallies];
  }

  /**
   * Has `add` add something of an hour to the group of a value. `hour` undefined: it is of now.
   */
  add(value: string, hour: number | undefined, add: (sums: Sums) => void): void {
    const tally = this.#of(value);
    if (tally === undefined) return;
    add(tally.whole);
    if (hour !== undefined && this.#period.buckets > 0)
      add(tally.bucket(this.#period.bucketOf(hour)));
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
