import { VarintReader, writeVarint } from "./rollup-counters.ts";

/** How far a quantile may be from the duration that it stands for. */
const accuracy = 0.01;

const growth = (1 + accuracy) / (1 - accuracy);
const logGrowth = Math.log(growth);
const maxEntryBytes = 16;

/**
 * Durations in buckets whose borders grow by two percent: how many there are of each length.
 *
 * A quantile is within 1 % of the duration it stands for, however the durations are distributed, and
 * histograms add up without loss. After DDSketch (Masson, Rim and Lee, VLDB 2019), with as many buckets
 * as are used: some 1,300 from a microsecond to ten days.
 */
export class Histogram {
  /** Numbers by bucket. */
  readonly #counts = new Map<number, number>();
  #total = 0;

  /** Durations in it. */
  get total(): number {
    return this.#total;
  }

  /** Adds a duration in microseconds. */
  add(us: number): void {
    this.#put(bucketOf(us), 1);
  }

  addAll(other: Histogram): void {
    for (const [bucket, count] of other.#counts) this.#put(bucket, count);
  }

  /** Adds what `encode` gave. Errors: RangeError when it is anything else. */
  addEncoded(content: Uint8Array): void {
    const reader = new VarintReader(content);
    let bucket = 0;
    for (let first = true; !reader.isAtEnd; first = false) {
      const step = reader.varint();
      if (step === 0 && !first) throw new RangeError("rollup: a bucket stands twice");
      bucket += step;
      this.#put(bucket, reader.varint());
    }
  }

  /**
   * The duration, in microseconds, at place ⌊q × (n - 1)⌋ of n durations in rising order, counted from 0.
   * Undefined: there is none.
   */
  quantile(q: number): number | undefined {
    if (this.#total === 0) return undefined;
    const place = Math.floor(q * (this.#total - 1));
    let before = 0;
    for (const [bucket, count] of this.#sorted()) {
      before += count;
      if (before > place) return middleOf(bucket);
    }
    return undefined;
  }

  /*
   * For each bucket that is not empty, in order: how much its number is above the one before, or above 0,
   * and how many there are in it. Both are LEB128, the lowest seven bits first.
   */
  encode(): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.#counts.size * maxEntryBytes);
    let end = 0;
    let last = 0;
    for (const [bucket, count] of this.#sorted()) {
      end = writeVarint(bytes, bucket - last, end);
      end = writeVarint(bytes, count, end);
      last = bucket;
    }
    return bytes.subarray(0, end);
  }

  #put(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count);
    this.#total += count;
  }

  #sorted(): [number, number][] {
    return [...this.#counts].sort(([a], [b]) => a - b);
  }
}

/** Bucket 0 has what is shorter than two microseconds; i has all above growth^(i-1), up to growth^i. */
function bucketOf(us: number): number {
  return us < 2 ? 0 : Math.ceil(Math.log(us) / logGrowth);
}

/** The duration that is at most 1 % from both ends of a bucket. */
function middleOf(bucket: number): number {
  return bucket === 0 ? 1 : (2 * growth ** bucket) / (growth + 1);
}
