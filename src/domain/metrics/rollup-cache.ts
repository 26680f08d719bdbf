import { limits } from "../../limits.ts";
import { addEncodedCounters, COUNTERS, newCounters } from "../../store/rollup-counters.ts";
import { Histogram } from "../../store/rollup-histogram.ts";
import type { Committed, RollupChange, RollupKey, Store } from "../../store/store.ts";
import type { Sums } from "./metric-values.ts";

/** A record as it is added up: the places of counters that are not 0, each before its number. */
export type Decoded =
  | { readonly numbers: readonly number[] }
  | { readonly part: "sessions" | "steps"; readonly histogram: Histogram };

/** All values of one dimension in one hour. */
export type HourPage = readonly (readonly [value: string, decoded: Decoded])[];

/** Which records: those of one part of one dimension. */
export type RollupList = Omit<RollupKey, "hour" | "value">;

/** Errors: RangeError for what is no record of that part. */
export function decodedRollup(part: RollupKey["part"], content: Uint8Array): Decoded {
  if (part === "sessions" || part === "steps") {
    const histogram = new Histogram();
    histogram.addEncoded(content);
    return { part, histogram };
  }
  const counters = newCounters();
  addEncodedCounters(counters, content);
  const numbers: number[] = [];
  for (let at = 0; at < COUNTERS.length; at++) {
    const number = counters[at] ?? 0;
    if (number !== 0) numbers.push(at, number);
  }
  return { numbers };
}

export function addDecoded(sums: Sums, decoded: Decoded): void {
  if ("histogram" in decoded) sums.histogram(decoded.part).addAll(decoded.histogram);
  else sums.addNumbers(decoded.numbers);
}

/** A read under way, and the hours that changed meanwhile: what it found of them may be old. */
interface Reading {
  readonly namespace: string;
  readonly changed: Set<number>;
}

/**
 * Hours that were read, so that a dashboard that asks again pays for the newest hour alone. An hour that
 * something is counted in is forgotten.
 */
export class RollupCache {
  readonly #limit: number;
  readonly #pages = new Map<string, HourPage>();
  /** Names of the pages of one hour of a namespace. */
  readonly #ofHour = new Map<string, string[]>();
  readonly #readings = new Set<Reading>();
  #records = 0;

  constructor({ onCommit, limit }: { onCommit: Store["onCommit"]; limit?: number }) {
    this.#limit = limit ?? limits.cachedRollupRecords;
    onCommit((committed) => this.#note(committed));
  }

  get(list: RollupList, hour: number): HourPage | undefined {
    return this.#pages.get(nameOf(list, hour));
  }

  /** To be ended with `end`, whatever comes. */
  begin(namespace: string): Reading {
    const reading = { namespace, changed: new Set<number>() };
    this.#readings.add(reading);
    return reading;
  }

  end(reading: Reading): void {
    this.#readings.delete(reading);
  }

  /** Keeps what a read found of an hour, unless the hour changed since the read began. */
  put(reading: Reading, list: RollupList, hour: number, page: HourPage): void {
    if (reading.changed.has(hour)) return;
    const name = nameOf(list, hour);
    if (this.#pages.has(name) || page.length > this.#limit) return;
    this.#pages.set(name, page);
    this.#records += 1 + page.length;
    const hourName = hourNameOf(list.namespace, hour);
    const names = this.#ofHour.get(hourName);
    if (names === undefined) this.#ofHour.set(hourName, [name]);
    else names.push(name);
    for (const oldest of this.#pages.keys()) {
      if (this.#records <= this.#limit) return;
      this.#forget(oldest);
    }
  }

  #note({ change: { rollups } }: Committed): void {
    if (rollups === undefined || (this.#pages.size === 0 && this.#readings.size === 0)) return;
    for (const { namespace, hour } of changedHours(rollups)) {
      for (const reading of this.#readings) {
        if (reading.namespace === namespace) reading.changed.add(hour);
      }
      const hourName = hourNameOf(namespace, hour);
      const names = this.#ofHour.get(hourName);
      if (names === undefined) continue;
      this.#ofHour.delete(hourName);
      for (const name of names) this.#forget(name);
    }
  }

  #forget(name: string): void {
    const page = this.#pages.get(name);
    if (page === undefined) return;
    this.#pages.delete(name);
    this.#records -= 1 + page.length;
  }
}

function* changedHours({ series, facts, removes = [] }: RollupChange) {
  // All series of a change are of one namespace.
  const [{ namespace } = { namespace: "" }] = series;
  for (const { hour } of facts) yield { namespace, hour };
  yield* removes;
}

function hourNameOf(namespace: string, hour: number): string {
  return `${hour}\0${namespace}`;
}

function nameOf({ namespace, dimension, label, part }: RollupList, hour: number): string {
  return `${hour}\0${namespace}\0${dimension}\0${label}\0${part}`;
}
