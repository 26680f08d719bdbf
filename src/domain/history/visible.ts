import type { Event } from "@sessiond/contract";
import { sizeOf } from "../../store/encoded.ts";
import { type LogRange, readLog } from "../../store/log.ts";
import type { Store } from "../../store/store.ts";

/** Revisions from first to last, both included. */
export interface Stretch {
  readonly first: number;
  readonly last: number;
}

/** What rewinds hide of a log, in order, as the head has it. */
export type Hidden = readonly Stretch[];

/** A rewind hides the revision, and all of a group that begins there. */
export function isHidden(hidden: Hidden, revision: number): boolean {
  return hiding(hidden, revision) !== undefined;
}

/** The stretch that hides a revision. Undefined: it is visible. */
export function hiding(hidden: Hidden, revision: number): Stretch | undefined {
  const range = hidden[placeOf(hidden, revision)];
  return range !== undefined && range.first <= revision ? range : undefined;
}

/** Revision of the newest rewind that hides something; 0: none does. */
export function newestRewind(hidden: Hidden): number {
  const newest = hidden.at(-1);
  return newest === undefined ? 0 : newest.last + 1;
}

/** The visible parts of a stretch of a log, oldest first. */
export function visibleParts(hidden: Hidden, { first, last }: Stretch): Stretch[] {
  const parts: Stretch[] = [];
  let next = first;
  for (let place = placeOf(hidden, first); place < hidden.length && next <= last; place++) {
    const range = hidden[place];
    if (range === undefined || range.first > last) break;
    if (next < range.first) parts.push({ first: next, last: range.first - 1 });
    next = range.last + 1;
  }
  if (next <= last) parts.push({ first: next, last });
  return parts;
}

/**
 * Reads the events of a log that no rewind hides, like `readLog`; `next`: where the page after it
 * begins. Errors: DataLossError.
 */
export async function readVisible(
  store: Pick<Store, "readEvents">,
  { hidden, ...range }: Omit<LogRange, "wholeBatches"> & { readonly hidden: Hidden },
): Promise<{ events: Event[]; next: number }> {
  const { reverse = false, maxEvents, maxBytes, first, last } = range;
  const parts = visibleParts(hidden, { first, last });
  if (reverse) parts.reverse();
  const events: Event[] = [];
  let bytes = 0;
  for (const part of parts) {
    let next = reverse ? part.last : part.first;
    while (next >= part.first && next <= part.last) {
      if (events.length >= maxEvents || bytes >= maxBytes) return { events, next };
      const page = await readLog(store, {
        ...range,
        first: reverse ? part.first : next,
        last: reverse ? next : part.last,
        maxEvents: maxEvents - events.length,
        maxBytes: maxBytes - bytes,
      });
      const newest = page.at(-1);
      if (newest === undefined) break;
      events.push(...page);
      next = newest.revision + (reverse ? -1 : 1);
      if (part === parts.at(-1)) return { events, next };
      bytes += page.reduce((sum, event) => sum + sizeOf(event), 0);
    }
  }
  return { events, next: reverse ? first - 1 : last + 1 };
}

/** Place of the first range that ends at a revision or behind it. */
function placeOf(hidden: Hidden, revision: number): number {
  let low = 0;
  let high = hidden.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hidden[middle]?.last ?? 0) < revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
