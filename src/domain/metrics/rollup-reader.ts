import { DataLossError } from "../../errors.ts";
import { rollupKey, rollupPrefix } from "../../store/keys.ts";
import type {
  RecordRange,
  RollupKey,
  RollupSeries,
  Store,
  StoredRecord,
} from "../../store/store.ts";
import type { Turns } from "../turns.ts";
import type { Period } from "./period.ts";
import {
  addDecoded,
  type Decoded,
  decodedRollup,
  type RollupCache,
  type RollupList,
} from "./rollup-cache.ts";
import type { Tallies } from "./tallies.ts";

/** Records read in one turn of the event loop. */
const pageRecords = 256;

type Part = RollupKey["part"];

/** What to read: one value of a dimension, or without one all of them. */
export interface RollupSource {
  readonly store: Pick<Store, "records">;
  readonly cache: RollupCache;
  readonly series: Omit<RollupSeries, "value"> & { readonly value?: string };
  readonly parts: ReadonlySet<Part>;
  readonly period: Period;
  readonly turns: Turns;
  /** Which values to take. Default: all. */
  readonly takes?: (value: string) => boolean;
}

/** A record, or undefined for one that is damaged. */
interface Found {
  readonly hour: number;
  readonly value: string;
  readonly decoded: Decoded | undefined;
}

/** Adds rollups to tallies by their values. False: damaged ones were left out. */
export async function readRollups(source: RollupSource, tallies: Tallies): Promise<boolean> {
  const { series, parts, turns, takes = () => true } = source;
  let isWhole = true;
  for (const part of parts) {
    const list = { ...series, part };
    const { value } = series;
    // All of a namespace has one record an hour, side by side like the values of another dimension.
    const isOne = value !== undefined && series.dimension !== "all";
    const pages = isOne ? ofValue(source, { ...list, value }) : ofAll(source, list);
    for await (const page of pages) {
      for (const { hour, value: of, decoded } of page) {
        if (decoded === undefined) isWhole = false;
        else if (takes(of)) {
          const at = part === "active" ? undefined : hour;
          for (const sums of tallies.of(of, at)) addDecoded(sums, decoded);
        }
      }
      await turns.yield();
    }
  }
  return isWhole;
}

/** Records of all values, hour by hour; those of hours that are known without a look at the store. */
async function* ofAll(source: RollupSource, list: RollupList): AsyncGenerator<readonly Found[]> {
  const { cache, period } = source;
  if (list.part === "active") {
    yield* stored(source, list, { first: 0, end: 1 });
    return;
  }
  for (let hour = period.firstHour; hour < period.endHour; ) {
    const known = cache.get(list, hour);
    if (known !== undefined) {
      const at = hour++;
      yield known.map(([value, decoded]) => ({ hour: at, value, decoded }));
      continue;
    }
    const first = hour;
    while (hour < period.endHour && cache.get(list, hour) === undefined) hour += 1;
    yield* remembered(source, list, { first, end: hour });
  }
}

/** Reads hours, and keeps them for the next who asks. */
async function* remembered(
  source: RollupSource,
  list: RollupList,
  hours: { first: number; end: number },
): AsyncGenerator<readonly Found[]> {
  const { cache } = source;
  const reading = cache.begin(list.namespace);
  let hour = hours.first;
  let page: [string, Decoded][] = [];
  let isWhole = true;
  const keepUpTo = (next: number) => {
    for (; hour < next; hour++) {
      if (isWhole) cache.put(reading, list, hour, page);
      page = [];
      isWhole = true;
    }
  };
  try {
    for await (const found of stored(source, list, hours)) {
      for (const one of found) {
        keepUpTo(one.hour);
        if (one.decoded === undefined) isWhole = false;
        else page.push([one.value, one.decoded]);
      }
      yield found;
    }
    keepUpTo(hours.end);
  } finally {
    cache.end(reading);
  }
}

async function* stored(
  { store }: RollupSource,
  list: RollupList,
  hours: { first: number; end: number },
): AsyncGenerator<readonly Found[]> {
  const prefix = rollupPrefix(list);
  let after = lastKeyBefore(prefix, hours.first);
  for (;;) {
    const range = { table: "rollups", prefix, limit: pageRecords } as const;
    const [page] = await store.records({ ...range, ...(after && { after }) });
    const found = page.map((record) => foundIn(record, list.part, prefix.length));
    // They are in the order of their hours.
    const isInside = (found.at(-1)?.hour ?? hours.end) < hours.end;
    yield isInside ? found : found.filter(({ hour }) => hour < hours.end);
    if (!isInside || page.length < pageRecords) return;
    after = page.at(-1)?.key;
  }
}

/** Records of one value: they do not lie side by side. */
async function* ofValue(
  { store, period }: RollupSource,
  list: RollupList & { readonly value: string },
): AsyncGenerator<readonly Found[]> {
  const { part } = list;
  const hourAt = rollupPrefix(list).length;
  const hours =
    part === "active" ? { first: 0, end: 1 } : { first: period.firstHour, end: period.endHour };
  for (let first = hours.first; first < hours.end; first += pageRecords) {
    const keys: Uint8Array[] = [];
    for (let hour = first; hour < Math.min(hours.end, first + pageRecords); hour++) {
      keys.push(rollupKey({ ...list, hour }));
    }
    const ranges = keys.map((prefix): RecordRange => ({ table: "rollups", prefix, limit: 1 }));
    const found = await store.records(...ranges);
    // A longer value may begin with this one; the keys of one value are of one length.
    const exact = found.flat().filter(({ key }) => key.length === keys[0]?.length);
    yield exact.map((record) => foundIn(record, part, hourAt));
  }
}

/** Behind all keys of the hour before: no text in UTF-8 has this byte. */
function lastKeyBefore(prefix: Uint8Array, hour: number): Uint8Array | undefined {
  if (hour === 0) return undefined;
  const key = Buffer.alloc(prefix.length + 5, 0xff);
  key.set(prefix);
  key.writeUInt32BE(hour - 1, prefix.length);
  return key;
}

/** Takes a record apart with as little as that needs: there are thousands of them. */
function foundIn({ key, content }: StoredRecord, part: Part, hourAt: number): Found {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  const hour = bytes.length < hourAt + 4 ? 0 : bytes.readUInt32BE(hourAt);
  const value = bytes.toString("utf8", hourAt + 4);
  if (content instanceof DataLossError) return { hour, value, decoded: undefined };
  try {
    return { hour, value, decoded: decodedRollup(part, content) };
  } catch (error) {
    if (error instanceof RangeError) return { hour, value, decoded: undefined };
    throw error;
  }
}
