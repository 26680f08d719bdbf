import { setTimeout as sleep } from "node:timers/promises";
import type { Event } from "@sessiond/contract";
import { limits } from "../../../limits.ts";
import type { LogPlaces, LogRange } from "../../../store/log.ts";
import type { CacheStats } from "../../cache-stats.ts";
import type { Log } from "../event-cache.ts";
import type { Retriever } from "./retriever.ts";
import { SessionIndex } from "./session-index.ts";
import { Turns } from "./turns.ts";

/** Few enough that decoding them does not hold up others. */
const eventsPerRead = 256;

interface Entry {
  readonly log: LogPlaces;
  index: SessionIndex;
  /** How far it is to reach. */
  head: number;
  /** Older events than it holds have been given up for lack of room. */
  isFull: boolean;
  isDropped: boolean;
  /** Work on it that is under way. */
  work: Promise<void> | undefined;
}

interface IndexesOptions {
  readonly readEvents: (range: LogRange) => Promise<readonly Event[]>;
  /** Memory of all indexes together, as estimated. Default from `limits.ts`. */
  readonly maxBytes?: number;
  /** Newest events of a session that are indexed. Default from `limits.ts`. */
  readonly maxEvents?: number;
}

/**
 * Indexes of sessions, in memory, made when they are first asked for and brought up to date when they
 * are asked for again, newest events first.
 *
 * The work takes turns of the event loop of a few milliseconds, and goes on when nobody waits for
 * it any more. When all indexes together take too much memory, those that were not asked for the
 * longest are forgotten, and the last one loses its oldest events.
 */
export class Indexes {
  readonly #readEvents: IndexesOptions["readEvents"];
  readonly #maxBytes: number;
  readonly #maxEvents: number;
  readonly #turns = new Turns();
  /** Least recently asked for first. */
  readonly #entries = new Map<string, Entry>();
  #hits = 0;
  #misses = 0;

  constructor(options: IndexesOptions) {
    this.#readEvents = options.readEvents;
    this.#maxBytes = options.maxBytes ?? limits.retrievalBytes;
    this.#maxEvents = options.maxEvents ?? limits.retrievalEvents;
  }

  /**
   * The session's index. Waits up to `waitMs` until it reaches from the newest event as far back as
   * it ever will; `partial` says that it does not hold all events up to `head`.
   *
   * Errors: those of `readEvents`.
   */
  async get(
    log: Log,
    waitMs: number = limits.retrievalWaitMs,
  ): Promise<{ retriever: Retriever; partial: boolean }> {
    const entry = this.#entry(log);
    if (this.#isBehind(entry)) {
      this.#misses++;
      entry.work ??= this.#work(entry);
      await settledWithin(entry.work, waitMs);
    } else {
      this.#hits++;
    }
    const { index } = entry;
    return { retriever: index, partial: index.first > 1 || index.last < log.head };
  }

  /** Forgets a session's index, for example because the session is deleted. */
  drop(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry !== undefined) entry.isDropped = true;
    this.#entries.delete(uid);
  }

  /** A hit is a call that finds an index with all it is to hold; an entry is a session's index. */
  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      entries: this.#entries.size,
      bytes: this.#bytes(),
      limitBytes: this.#maxBytes,
    };
  }

  /** Ends the work under way and forgets all indexes. */
  async close(): Promise<void> {
    const works = [...this.#entries.values()].map(({ work }) => work);
    for (const uid of [...this.#entries.keys()]) this.drop(uid);
    await Promise.allSettled(works);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #entry({ head, ...log }: Log): Entry {
    const { uid } = log;
    const entry = this.#entries.get(uid) ?? {
      log,
      index: this.#emptyIndex(head),
      head,
      isFull: false,
      isDropped: false,
      work: undefined,
    };
    entry.head = Math.max(entry.head, head);
    this.#entries.delete(uid);
    this.#entries.set(uid, entry);
    return entry;
  }

  #emptyIndex(after: number): SessionIndex {
    return new SessionIndex({ after, turns: this.#turns });
  }

  #isBehind(entry: Entry): boolean {
    return entry.index.last < entry.head || this.#olderEnd(entry) < entry.index.first;
  }

  /** First revision the index is to hold. */
  #olderEnd({ index, head, isFull }: Entry): number {
    return isFull ? index.first : Math.max(1, head - this.#maxEvents + 1);
  }

  async #work(entry: Entry): Promise<void> {
    try {
      // The head may move on while it works.
      while (!entry.isDropped && this.#isBehind(entry)) {
        if (!(await this.#extend(entry))) return;
        this.#makeRoom(entry);
      }
    } finally {
      entry.work = undefined;
    }
  }

  /** Takes one page of events, the newest that are missing; false when there was none. */
  async #extend(entry: Entry): Promise<boolean> {
    // Rather than leave the newest events to the end of a long way, it starts anew from there.
    if (entry.head - entry.index.last > limits.retrievalCatchUpEvents) {
      entry.index = this.#emptyIndex(entry.head);
      entry.isFull = false;
    }
    const { index } = entry;
    const end = index.last < entry.head ? "newer" : "older";
    const events = await this.#readEvents({
      log: entry.log,
      ...(end === "newer"
        ? { first: index.last + 1, last: entry.head }
        : { first: this.#olderEnd(entry), last: index.first - 1, reverse: true }),
      maxEvents: eventsPerRead,
      maxBytes: limits.pageBytes,
    });
    await this.#turns.run(
      (function* () {
        for (const event of events) {
          yield;
          yield* index.add(event, end);
        }
      })(),
      () => entry.isDropped,
    );
    return events.length > 0;
  }

  #makeRoom(entry: Entry): void {
    entry.index.dropBefore(entry.head - this.#maxEvents + 1);
    // No more than half, so that one long session does not drive all others out.
    while (entry.index.bytes > this.#maxBytes / 2 && entry.index.dropOldest()) entry.isFull = true;
    let excess = this.#bytes() - this.#maxBytes;
    for (const [uid, other] of this.#entries) {
      if (excess <= 0) return;
      if (other === entry) continue;
      excess -= other.index.bytes;
      this.drop(uid);
    }
  }

  #bytes(): number {
    let sum = 0;
    for (const { index } of this.#entries.values()) sum += index.bytes;
    return sum;
  }
}

/** Waits until a promise settles, or the time is over. Errors: those of the promise, if in time. */
async function settledWithin(promise: Promise<void>, waitMs: number): Promise<void> {
  const over = new AbortController();
  // A failure that comes too late for this caller is the next one's: it tries again.
  promise.catch(() => {});
  try {
    await Promise.race([promise, sleep(waitMs, undefined, { signal: over.signal })]);
  } finally {
    over.abort();
  }
}
