import { rollupKey } from "./keys.ts";
import {
  addCounters,
  addEncodedCounters,
  type Counters,
  count,
  counterAt,
  encodeCounters,
  newCounters,
} from "./rollup-counters.ts";
import { Histogram } from "./rollup-histogram.ts";
import type { RollupChange, RollupKey, RollupSeries } from "./store.ts";

/** A rollup record to put, or without a content to remove. */
export interface RollupWrite {
  readonly key: Buffer;
  readonly content?: Uint8Array;
}

/** The newest of a record, in memory. */
interface Page {
  readonly key: Buffer;
  record: Counters | Histogram;
  /** What the store is given does not have the newest yet. */
  isChanged: boolean;
  /** Writes of it that are on their way to the disk. */
  underWay: number;
}

/** The pages that facts of some series went to, in one hour. */
interface Recent {
  readonly hour: number;
  readonly era: number;
  readonly pages: readonly Page[];
}

/**
 * Adds facts to rollup records: reads each once, and hands out the newest of those that changed, so that
 * commits of one moment write it once.
 *
 * Records with writes under way stay in memory, because what the store has of them is older; others do as
 * long as there is room.
 */
export class RollupBook {
  readonly #read: (key: Buffer) => Uint8Array | undefined;
  readonly #limit: number;
  readonly #pages = new Map<string, Page>();
  /** Pages that facts of a session went to last: an append need not look for them by name. */
  readonly #recent = new WeakMap<readonly RollupSeries[], Recent>();
  /** Counts the times that pages were forgotten. */
  #era = 0;
  #changed: Page[] = [];

  constructor(args: {
    /** What the store has of a record now; undefined: none, or one that is damaged and begins anew. */
    read: (key: Buffer) => Uint8Array | undefined;
    limit: number;
  }) {
    this.#read = args.read;
    this.#limit = args.limit;
  }

  /** Records in memory. */
  get size(): number {
    return this.#pages.size;
  }

  add({ series, facts, active, removes = [] }: RollupChange): void {
    for (const { hour, counters, sessionsUs, stepsUs } of facts) {
      for (const page of this.#countersOf(series, hour)) {
        addCounters(page.record as Counters, counters);
        this.#note(page);
      }
      if (sessionsUs.length + stepsUs.length === 0) continue;
      for (const one of series) {
        if (sessionsUs.length > 0) addAll(this.#histogram(one, "sessions", hour), sessionsUs);
        if (stepsUs.length > 0) addAll(this.#histogram(one, "steps", hour), stepsUs);
      }
    }
    for (const { series: one, by } of active) {
      count(this.#record(one, "active", 0) as Counters, "active", by);
    }
    for (const key of removes) this.#clear(key);
  }

  /** What has changed since the last call. `settle` is to be called once it is in the store. */
  take(): { readonly writes: readonly RollupWrite[]; settle(): void } | undefined {
    if (this.#changed.length === 0) return undefined;
    const pages = this.#changed;
    this.#changed = [];
    const writes = pages.map((page): RollupWrite => {
      page.isChanged = false;
      page.underWay += 1;
      const content = encoded(page.record);
      return content.length === 0 ? { key: page.key } : { key: page.key, content };
    });
    return {
      writes,
      settle: () => {
        for (const page of pages) page.underWay -= 1;
        this.#makeRoom();
      },
    };
  }

  /** The pages of an hour, one for each series. */
  #countersOf(series: readonly RollupSeries[], hour: number): readonly Page[] {
    const recent = this.#recent.get(series);
    if (recent?.hour === hour && recent.era === this.#era) return recent.pages;
    const pages = series.map((one) => this.#page(one, "counters", hour));
    this.#recent.set(series, { hour, era: this.#era, pages });
    return pages;
  }

  #histogram(series: RollupSeries, part: "sessions" | "steps", hour: number): Histogram {
    return this.#record(series, part, hour) as Histogram;
  }

  /** A record that is about to change. */
  #record(series: RollupSeries, part: RollupKey["part"], hour: number): Counters | Histogram {
    const page = this.#page(series, part, hour);
    this.#note(page);
    return page.record;
  }

  #page(series: RollupSeries, part: RollupKey["part"], hour: number): Page {
    const name = nameOf(series, part, hour);
    let page = this.#pages.get(name);
    if (page === undefined) {
      const { namespace, dimension, label, value } = series;
      const key = rollupKey({ namespace, dimension, label, value, part, hour });
      page = { key, record: decoded(part, this.#read(key)), isChanged: false, underWay: 0 };
      this.#pages.set(name, page);
    }
    return page;
  }

  #clear(rollup: RollupKey): void {
    const name = nameOf(rollup, rollup.part, rollup.hour);
    const record = emptyRecord(rollup.part);
    const known = this.#pages.get(name);
    const page = known ?? { key: rollupKey(rollup), record, isChanged: false, underWay: 0 };
    page.record = record;
    this.#pages.set(name, page);
    this.#note(page);
  }

  #note(page: Page): void {
    if (page.isChanged) return;
    page.isChanged = true;
    this.#changed.push(page);
  }

  /** Forgets the longest known records that nobody waits for. */
  #makeRoom(): void {
    if (this.#pages.size <= this.#limit) return;
    this.#era += 1;
    for (const [name, page] of this.#pages) {
      if (this.#pages.size <= this.#limit) return;
      if (!page.isChanged && page.underWay === 0) this.#pages.delete(name);
    }
  }
}

function emptyRecord(part: RollupKey["part"]): Counters | Histogram {
  return part === "sessions" || part === "steps" ? new Histogram() : newCounters();
}

function decoded(part: RollupKey["part"], content: Uint8Array | undefined) {
  const record = emptyRecord(part);
  if (content === undefined) return record;
  if (record instanceof Histogram) record.addEncoded(content);
  else addEncodedCounters(record, content);
  return record;
}

function encoded(record: Counters | Histogram): Uint8Array {
  if (record instanceof Histogram) return record.encode();
  // Of sessions that were counted before their store counted them there may be more that leave.
  record[counterAt.active] = Math.max(0, record[counterAt.active] ?? 0);
  return encodeCounters(record);
}

function addAll(histogram: Histogram, durationsUs: readonly number[]): void {
  for (const us of durationsUs) histogram.add(us);
}

/** Namespaces and labels have no NUL; ids come last. */
function nameOf(series: RollupSeries, part: RollupKey["part"], hour: number): string {
  const { namespace, dimension, label, value } = series;
  return `${part}${hour}${dimension}\0${namespace}\0${label}\0${value}`;
}
