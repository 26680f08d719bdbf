import type { Event } from "@sessiond/contract";
import { DataLossError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { type LogPlaces, placesOf, readLog } from "../../store/log.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import type { CacheStats } from "../cache-stats.ts";
import { textOf } from "../payloads.ts";

/** A log up to the newest event that a reader may see. */
export interface Log extends LogPlaces {
  readonly head: number;
}

export function logOf(stored: StoredSession): Log {
  return { ...placesOf(stored), head: stored.head.revision };
}

interface CachedLog {
  readonly uid: string;
  /** The newest events, in order and without a hole. */
  tail: Event[];
  /** Older events that windows come back to: protected ones, and what their groups hold. */
  readonly older: Map<number, Event>;
  bytes: number;
}

/** Memory that a decoded event takes beside its text. */
const eventBytes = 1_024;

/**
 * Events of the logs whose windows are asked for, decoded, so that a warm window reads no store.
 *
 * A log enters with its first window and follows its appends from then on. Bounded in bytes over
 * all logs: a long tail is cut at its old end, and the least recently used logs leave.
 */
export class EventCache {
  readonly #store: Pick<Store, "readEvents">;
  readonly #maxBytes: number;
  readonly #logs = new Map<string, CachedLog>();
  #bytes = 0;
  #hits = 0;
  #misses = 0;

  constructor(args: { store: Store; maxBytes?: number }) {
    this.#store = args.store;
    this.#maxBytes = args.maxBytes ?? limits.windowCacheBytes;
    args.store.onCommit(({ change: { key, after, events } }) => {
      const log = this.#logs.get(key.uid);
      if (log === undefined) return;
      if (after === undefined) this.#forget(log);
      else this.#append(log, events);
    });
  }

  /** A hit is a stretch of events that needed no store; an entry is a log. */
  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      entries: this.#logs.size,
      bytes: this.#bytes,
      limitBytes: this.#maxBytes,
    };
  }

  /** Events from `first` to the head. Errors: DataLossError. */
  async tail(places: Log, first: number): Promise<readonly Event[]> {
    const { uid, head } = places;
    if (first > head) return [];
    const log = this.#use(uid);
    this.#note({ isHit: firstOf(log) <= first && head <= lastOf(log) });
    if (lastOf(log) < head) {
      const newer = await this.#read(places, Math.max(first, lastOf(log) + 1), head);
      if (lastOf(log) + 1 < (newer[0]?.revision ?? 0)) this.#clear(log);
      this.#append(log, newer);
    }
    const begin = firstOf(log);
    // A piece of a long log, far from what windows show, is not worth the memory.
    if (head < begin) return this.#read(places, first, head);
    if (first < begin) {
      const older = await this.#read(places, first, begin - 1);
      if (firstOf(log) === begin) {
        log.tail = [...older, ...log.tail];
        this.#account(log, sizeOf(older));
      } else {
        return this.#read(places, first, head);
      }
    }
    const from = firstOf(log);
    const events = log.tail.slice(first - from, head - from + 1);
    this.#trim(log);
    return events;
  }

  /** Events between two revisions, both included, wherever they are. Errors: DataLossError. */
  async range(places: Log, first: number, last: number): Promise<readonly Event[]> {
    const log = this.#use(places.uid);
    const from = firstOf(log);
    if (log.tail.length > 0 && first >= from && last <= lastOf(log)) {
      this.#note({ isHit: true });
      return log.tail.slice(first - from, last - from + 1);
    }
    const known: Event[] = [];
    for (let revision = first; revision <= last; revision++) {
      const event = log.older.get(revision);
      if (event === undefined) break;
      known.push(event);
    }
    const isHit = known.length === last - first + 1;
    this.#note({ isHit });
    if (isHit) return known;
    const events = await this.#read(places, first, last);
    for (const event of events) {
      if (!log.older.has(event.revision)) this.#account(log, sizeOf([event]));
      log.older.set(event.revision, event);
    }
    this.#trim(log);
    return events;
  }

  #note({ isHit }: { isHit: boolean }): void {
    if (isHit) this.#hits++;
    else this.#misses++;
  }

  async #read(log: LogPlaces, first: number, last: number): Promise<Event[]> {
    const events: Event[] = [];
    for (let next = first; next <= last; next = (events.at(-1)?.revision ?? last) + 1) {
      const page = await readLog(this.#store, {
        log,
        first: next,
        last,
        maxEvents: limits.pageSize,
        maxBytes: limits.pageBytes,
      });
      if (page[0]?.revision !== next) {
        throw new DataLossError({ record: `event ${next}`, sessionUid: log.uid });
      }
      events.push(...page);
    }
    return events;
  }

  /** Adds events that follow the tail; those it has are left out. */
  #append(log: CachedLog, events: readonly Event[]): void {
    const last = lastOf(log);
    const next = events.filter(({ revision }) => revision > last);
    if (log.tail.length > 0 && next[0] !== undefined && next[0].revision !== last + 1) {
      this.#clear(log);
    }
    log.tail.push(...next);
    this.#account(log, sizeOf(next));
  }

  #use(uid: string): CachedLog {
    const log = this.#logs.get(uid) ?? { uid, tail: [], older: new Map(), bytes: 0 };
    this.#logs.delete(uid);
    this.#logs.set(uid, log);
    return log;
  }

  #trim(log: CachedLog): void {
    if (log.bytes > this.#maxBytes / 4) {
      const dropped = log.tail.splice(0, Math.ceil(log.tail.length / 2));
      this.#account(log, -sizeOf(dropped));
      if (log.bytes > this.#maxBytes / 4) this.#clear(log);
    }
    for (const old of this.#logs.values()) {
      if (this.#bytes <= this.#maxBytes) return;
      if (old !== log) this.#forget(old);
    }
  }

  #clear(log: CachedLog): void {
    log.tail = [];
    log.older.clear();
    this.#account(log, -log.bytes);
  }

  #forget(log: CachedLog): void {
    this.#account(log, -log.bytes);
    this.#logs.delete(log.uid);
  }

  #account(log: CachedLog, bytes: number): void {
    log.bytes += bytes;
    // A log that has left may still be read into by those who began before.
    if (this.#logs.get(log.uid) === log) this.#bytes += bytes;
  }
}

function firstOf({ tail }: CachedLog): number {
  return tail[0]?.revision ?? Number.POSITIVE_INFINITY;
}

function lastOf({ tail }: CachedLog): number {
  return tail.at(-1)?.revision ?? 0;
}

function sizeOf(events: readonly Event[]): number {
  return events.reduce((sum, event) => sum + eventBytes + 2 * textOf(event).length, 0);
}
