import type { Event } from "@sessiond/contract";
import type { LogSegment, SessionHead } from "@sessiond/contract/store";
import { sizeOf } from "./encoded.ts";
import { uidText } from "./keys.ts";
import type { EventRange, Store, StoredSession } from "./store.ts";

/** Where the events of a session are: under its own uid, and of a fork under those it inherits from. */
export interface LogPlaces {
  readonly uid: string;
  /** As in the head, oldest first. Absent: none. */
  readonly inherited?: readonly LogSegment[];
}

/** Events of a log between two revisions, wherever they are kept. */
export type LogRange = Omit<EventRange, "uid"> & { readonly log: LogPlaces };

/** A part of a log that is kept under one uid; both revisions are included. */
interface Piece {
  readonly uid: string;
  readonly first: number;
  readonly last: number;
}

export function placesOf({ session, head }: StoredSession): LogPlaces {
  return { uid: session.uid, inherited: head.inherited };
}

/**
 * Reads events of a log, like `Store.readEvents`. With `wholeBatches` a page also ends where the events
 * of another log begin.
 *
 * Errors: DataLossError.
 */
export async function readLog(
  store: Pick<Store, "readEvents">,
  { log, ...range }: LogRange,
): Promise<Event[]> {
  const { reverse = false, wholeBatches = false } = range;
  let { first, last, maxEvents, maxBytes } = range;
  const page: Event[] = [];
  while (first <= last && maxEvents > 0) {
    const piece = pieceAt(log, reverse ? last : first);
    const from = Math.max(first, piece.first);
    const to = Math.min(last, piece.last);
    const read = { ...range, uid: piece.uid, first: from, last: to, maxEvents, maxBytes };
    const events = await store.readEvents(read);
    const isWhole = events.at(-1)?.revision === (reverse ? from : to);
    const isAll = from === first && to === last;
    if (page.length === 0 && (isAll || !isWhole || wholeBatches)) return events;
    maxBytes -= events.reduce((sum, event) => sum + sizeOf(event), 0);
    // A read gives at least one event, but the page has one already.
    if (page.length > 0 && maxBytes < 0) return page;
    page.push(...events);
    if (!isWhole || maxBytes <= 0) return page;
    maxEvents -= events.length;
    if (reverse) last = from - 1;
    else first = to + 1;
  }
  return page;
}

/** The newest checkpoint of a log at or before a revision. Errors: DataLossError. */
export async function readCheckpoint(
  store: Pick<Store, "checkpoint">,
  { log, atMost }: { log: LogPlaces; atMost: number },
): Promise<SessionHead | undefined> {
  for (let revision = atMost; revision > 0; ) {
    const { uid, first } = pieceAt(log, revision);
    const head = await store.checkpoint({ uid, atMost: revision });
    if (head !== undefined) return head;
    revision = first - 1;
  }
  return undefined;
}

/** Segments of a log up to a revision: what a fork inherits. */
export function segmentsUpTo(log: LogPlaces, own: LogSegment, revision: number): LogSegment[] {
  const segments: LogSegment[] = [];
  for (const segment of [...(log.inherited ?? []), own]) {
    if (segment.lastRevision >= revision) {
      return [...segments, { ...segment, lastRevision: revision }];
    }
    segments.push(segment);
  }
  return segments;
}

function pieceAt({ uid, inherited = [] }: LogPlaces, revision: number): Piece {
  let first = 1;
  for (const segment of inherited) {
    const last = segment.lastRevision;
    if (revision <= last) return { uid: uidText(segment.uid), first, last };
    first = last + 1;
  }
  return { uid, first, last: Number.MAX_SAFE_INTEGER };
}
