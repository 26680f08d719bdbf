import { DataLossError } from "../../errors.ts";
import { parseRollupKey, rollupKey, rollupPrefix } from "../../store/keys.ts";
import { addEncodedCounters } from "../../store/rollup-counters.ts";
import type {
  RecordRange,
  RollupKey,
  RollupSeries,
  Store,
  StoredRecord,
} from "../../store/store.ts";
import type { Turns } from "../turns.ts";
import type { Sums } from "./metric-values.ts";
import type { Period } from "./period.ts";
import type { Tallies } from "./tallies.ts";

/** Records read in one turn of the event loop. */
const pageRecords = 256;

type Part = RollupKey["part"];

/** What to read: one value of a dimension, or without one all of them. */
export interface RollupSource {
  readonly store: Pick<Store, "records">;
  readonly series: Omit<RollupSeries, "value"> & { readonly value?: string };
  readonly parts: ReadonlySet<Part>;
  readonly period: Period;
  readonly turns: Turns;
  /** Which values to take. Default: all. */
  readonly takes?: (value: string) => boolean;
}

/** Adds rollups to tallies by their values. False: damaged ones were left out. */
export async function readRollups(source: RollupSource, tallies: Tallies): Promise<boolean> {
  let isWhole = true;
  for (const part of source.parts) {
    const { value } = source.series;
    // All of a namespace has one record an hour, side by side like the values of another dimension.
    const isOne = value !== undefined && source.series.dimension !== "all";
    const pages = isOne ? recordsOf(source, part, value) : recordsIn(source, part);
    for await (const records of pages) {
      for (const record of records) {
        if (!take(record, part, source, tallies)) isWhole = false;
      }
      await source.turns.yield();
    }
  }
  return isWhole;
}

/** Records of all values, hour by hour. */
async function* recordsIn(
  { store, series, period }: RollupSource,
  part: Part,
): AsyncGenerator<readonly StoredRecord[]> {
  const prefix = rollupPrefix({ ...series, part });
  const hours = hoursOf(part, period);
  let after = lastKeyBefore(prefix, hours.first);
  for (;;) {
    const range = {
      table: "rollups",
      prefix,
      limit: pageRecords,
      ...(after && { after }),
    } as const;
    const [page] = await store.records(range);
    after = page.at(-1)?.key;
    const inside = page.filter(
      ({ key }) => key.length < prefix.length + 4 || hourOf(key, prefix) < hours.end,
    );
    yield inside;
    if (page.length < pageRecords || inside.length < page.length) return;
  }
}

/** Records of one value: they do not lie side by side. */
async function* recordsOf(
  { store, series, period }: RollupSource,
  part: Part,
  value: string,
): AsyncGenerator<readonly StoredRecord[]> {
  const hours = hoursOf(part, period);
  for (let hour = hours.first; hour < hours.end; hour += pageRecords) {
    const keys: Uint8Array[] = [];
    for (let each = hour; each < Math.min(hours.end, hour + pageRecords); each++) {
      keys.push(rollupKey({ ...series, value, part, hour: each }));
    }
    const ranges = keys.map((prefix): RecordRange => ({ table: "rollups", prefix, limit: 1 }));
    const found = await store.records(...ranges);
    // A longer value may begin with this one; the keys of one value are of one length.
    yield found.flat().filter(({ key }) => key.length === keys[0]?.length);
  }
}

function hoursOf(part: Part, { firstHour, endHour }: Period) {
  return part === "active" ? { first: 0, end: 1 } : { first: firstHour, end: endHour };
}

/** Behind all keys of the hour before: no text in UTF-8 has this byte. */
function lastKeyBefore(prefix: Uint8Array, hour: number): Uint8Array | undefined {
  if (hour === 0) return undefined;
  const key = Buffer.alloc(prefix.length + 5, 0xff);
  key.set(prefix);
  key.writeUInt32BE(hour - 1, prefix.length);
  return key;
}

function hourOf(key: Uint8Array, prefix: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(prefix.length);
}

/** False: the record is damaged. */
function take(
  { key, content }: StoredRecord,
  part: Part,
  { takes = () => true }: RollupSource,
  tallies: Tallies,
): boolean {
  if (content instanceof DataLossError) return false;
  try {
    const { hour, value } = parseRollupKey(key);
    if (!takes(value)) return true;
    tallies.add(value, part === "active" ? undefined : hour, (sums) => addTo(sums, part, content));
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function addTo(sums: Sums, part: Part, content: Uint8Array): void {
  if (part === "sessions" || part === "steps") sums.histogram(part).addEncoded(content);
  else addEncodedCounters(sums.counters, content);
}
