/**
 * What a rollup counts, in the order of the numbers they are stored under. Part of the layout: add at the
 * end, never change the order.
 *
 * Times are in microseconds, each rounded down. Nothing is ever taken back but `active`.
 */
export const COUNTERS = [
  /** Sessions by the state they ended in; a session that is reopened may end more than once. */
  "completed",
  "failed",
  "cancelled",
  "timedOut",
  "limitReached",
  "expired",
  /** From the start of those sessions to their end. */
  "sessionUs",
  "sessions",
  "reopened",
  "deleted",
  /** Sessions that are ACTIVE now, in a record of its own. */
  "active",
  "events",
  "bytes",
  "messages",
  "turns",
  "steps",
  "errors",
  "tokens",
  "inputTokens",
  "outputTokens",
  "reportedInputTokens",
  "reportedOutputTokens",
  "cost",
  "toolCalls",
  /** Final results of calls, those of them that are errors, and the time the calls took. */
  "toolResults",
  "toolErrors",
  "toolUs",
  "requests",
  "requestErrors",
  "requestUs",
  "compactions",
  "tokensBeforeCompaction",
  "tokensAfterCompaction",
  "savedCost",
] as const;

export type Counter = (typeof COUNTERS)[number];

/** One number for each of `COUNTERS`, at its place. A plain list: every append makes one. */
export type Counters = number[];

/** Places of the counters. */
export const counterAt = Object.fromEntries(
  COUNTERS.map((name, index) => [name, index]),
) as Readonly<Record<Counter, number>>;

/** These have fractions; the others are whole and not negative. */
const fractions: ReadonlySet<number> = new Set([counterAt.cost, counterAt.savedCost]);

/** Where the sum of each stops: at the largest number that is exact, or finite. */
const largest: readonly number[] = COUNTERS.map((_, at) =>
  fractions.has(at) ? Number.MAX_VALUE : Number.MAX_SAFE_INTEGER,
);

export function newCounters(): Counters {
  return new Array<number>(COUNTERS.length).fill(0);
}

/** Adds to a counter. */
export function count(counters: Counters, name: Counter, by = 1): void {
  const at = counterAt[name];
  counters[at] = bounded(at, (counters[at] ?? 0) + by);
}

/** Adds all of `more`. */
export function addCounters(counters: Counters, more: Counters): void {
  for (let at = 0; at < COUNTERS.length; at++) {
    const by = more[at] ?? 0;
    if (by !== 0) counters[at] = bounded(at, (counters[at] ?? 0) + by);
  }
}

function bounded(at: number, sum: number): number {
  return Math.min(sum, largest[at] ?? 0);
}

const fractionBytes = 8;
/** A number of 53 bits in groups of seven. */
const maxVarintBytes = 8;

/*
 * A record of counters: for each that is not 0, in order,
 *
 *   place (1)       its place in COUNTERS
 *   number          LEB128, the lowest seven bits first; of one with fractions a double (8), little endian
 */

export function encodeCounters(counters: Counters): Uint8Array {
  const bytes = Buffer.allocUnsafe(COUNTERS.length * (1 + maxVarintBytes));
  let end = 0;
  for (let at = 0; at < COUNTERS.length; at++) {
    const number = counters[at] ?? 0;
    if (number === 0) continue;
    bytes[end++] = at;
    end = fractions.has(at) ? bytes.writeDoubleLE(number, end) : writeVarint(bytes, number, end);
  }
  return bytes.subarray(0, end);
}

/** Adds a record to counters. Errors: RangeError for what `encodeCounters` did not write. */
export function addEncodedCounters(counters: Counters, content: Uint8Array): void {
  const reader = new VarintReader(content);
  let last = -1;
  while (!reader.isAtEnd) {
    const at = reader.byte();
    if (at <= last || at >= COUNTERS.length) throw new RangeError(`rollup: no counter at ${at}`);
    last = at;
    const number = fractions.has(at) ? reader.double() : reader.varint();
    counters[at] = bounded(at, (counters[at] ?? 0) + number);
  }
}

/** Writes a whole number from `at` on; gives where it ends. */
export function writeVarint(bytes: Buffer, number: number, at: number): number {
  let rest = number;
  let end = at;
  while (rest >= 0x80) {
    bytes[end++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[end++] = rest;
  return end;
}

/** Reads what was written one after another. Errors: RangeError when it is cut off or too large. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new RangeError("rollup: ends too early");
    return byte;
  }

  varint(): number {
    let number = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.byte();
      number += (byte & 0x7f) * scale;
      if (number > Number.MAX_SAFE_INTEGER) throw new RangeError("rollup: number too large");
      if (byte < 0x80) return number;
    }
  }

  double(): number {
    const at = this.#at;
    this.#at += fractionBytes;
    if (this.#at > this.#bytes.length) throw new RangeError("rollup: ends too early");
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at).getFloat64(0, true);
  }
}
