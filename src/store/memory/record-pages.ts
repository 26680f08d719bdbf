import { prefixEnd } from "../keys.ts";
import type { RecordRange, StoredRecord } from "../store.ts";

/** Records under keys that have no order of their own. */
export interface LooseRecords {
  keys(): Iterable<Uint8Array>;
  content(key: Uint8Array): Uint8Array | undefined;
}

/** Lists of records, whose keys end with numbers that follow one another. */
export interface Lists {
  /** What the keys of each list begin with. */
  prefixes(): Iterable<Uint8Array>;
  /** Number of the first record of a list. */
  first(prefix: Uint8Array): number;
  /** Undefined behind the end of the list. */
  entry(
    prefix: Uint8Array,
    number: number,
  ): { readonly content: Uint8Array; readonly continues: boolean } | undefined;
  /** The list that a key is in or would be in, and its place there. */
  placeOf(key: Uint8Array): { readonly prefix: Uint8Array; readonly number: number };
  key(prefix: Uint8Array, number: number): Uint8Array;
}

const compare = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b);

/**
 * Pages through what a memory store keeps without order. The keys are put in order when a walk begins,
 * and that order is kept until the next one begins: a walk does not see what is added behind it.
 */
export class SortedWalk {
  readonly #keys: () => Iterable<Uint8Array>;
  #sorted: Uint8Array[] | undefined;

  constructor(keys: () => Iterable<Uint8Array>) {
    this.#keys = keys;
  }

  /** Keys behind `after`; a walk from the first begins anew. */
  *behind(after: Uint8Array | undefined): Generator<Uint8Array> {
    if (after === undefined || this.#sorted === undefined) {
      this.#sorted = [...this.#keys()].sort(compare);
    }
    const sorted = this.#sorted;
    for (let at = after === undefined ? 0 : firstBehind(sorted, after); at < sorted.length; at++) {
      const key = sorted[at];
      if (key !== undefined) yield key;
    }
  }
}

/** Records of a table without order in the order of their keys. */
export function* looseRecords(
  table: LooseRecords,
  walk: SortedWalk,
  { prefix, after, limit }: RecordRange,
): Generator<StoredRecord> {
  // The key that is the whole prefix comes first.
  const exact = prefix !== undefined && after === undefined ? table.content(prefix) : undefined;
  if (prefix !== undefined && exact !== undefined && limit === 1) {
    yield record(prefix, exact);
    return;
  }
  const keys = prefix === undefined ? walk : new SortedWalk(() => within(table.keys(), prefix));
  for (const key of keys.behind(after)) {
    const content = table.content(key);
    if (content !== undefined) yield record(key, content);
  }
}

/** Records of lists in the order of their keys. */
export function* listRecords(
  lists: Lists,
  walk: SortedWalk,
  { prefix, after }: RecordRange,
): Generator<StoredRecord> {
  const place = after === undefined ? undefined : lists.placeOf(after);
  if (place !== undefined) yield* entries(lists, place.prefix, place.number + 1);
  if (prefix !== undefined) {
    if (place === undefined) yield* entries(lists, prefix);
    return;
  }
  for (const next of walk.behind(place?.prefix)) yield* entries(lists, next);
}

/** The records of a range, up to its limits. */
export function page(records: Iterable<StoredRecord>, range: RecordRange): StoredRecord[] {
  const { limit, maxBytes = Infinity, prefix } = range;
  const end = prefix && prefixEnd(prefix);
  const found: StoredRecord[] = [];
  let bytes = 0;
  if (limit < 1) return found;
  for (const item of records) {
    if (end !== undefined && compare(item.key, end) >= 0) break;
    bytes += item.content instanceof Uint8Array ? item.content.length : 0;
    if (bytes > maxBytes && found.length > 0) break;
    found.push(item);
    if (found.length === limit) break;
  }
  return found;
}

/** A record of its own: what a caller does to it later does not reach the store. */
export function record(key: Uint8Array, content: Uint8Array, continues = false): StoredRecord {
  return { key, content: Uint8Array.from(content), continues };
}

function* entries(lists: Lists, prefix: Uint8Array, from = 1): Generator<StoredRecord> {
  for (let number = Math.max(from, lists.first(prefix)); ; number++) {
    const entry = lists.entry(prefix, number);
    if (entry === undefined) return;
    yield record(lists.key(prefix, number), entry.content, entry.continues);
  }
}

function* within(keys: Iterable<Uint8Array>, prefix: Uint8Array): Generator<Uint8Array> {
  for (const key of keys) {
    if (compare(key.subarray(0, prefix.length), prefix) === 0) yield key;
  }
}

function firstBehind(sorted: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const found = sorted[middle];
    if (found !== undefined && compare(found, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
