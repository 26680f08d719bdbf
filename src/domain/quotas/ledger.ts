import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Committed, StoredSession } from "../../store/store.ts";
import { dueOf } from "../lifecycle/due.ts";
import { hasEnded } from "../lifecycle/states.ts";

/** A session that has not ended, as the ledger knows it. */
export interface ActiveSession {
  readonly uid: string;
  readonly sessionId: string;
  readonly lastActivityMs: number;
  /** When time ends it, whether or not that is written down. */
  readonly dueMs: number;
}

/** What the store has, while it is read. */
class Filling {
  readonly entries = new Map<string, ActiveSession>();
  /** Bytes of every session that was read, by uid. */
  readonly bytes = new Map<string, number>();
  /** Sessions a commit told of meanwhile: what the store says of them later is older. */
  readonly told = new Set<string>();
}

/**
 * What a namespace has: its sessions that have not ended, the longest idle first, and the bytes of its
 * logs. Filled from the store once, then kept up to date by the commits.
 *
 * A session that is about to become active holds a **place**, by its uid, so that sessions created at
 * once do not pass the quota together. Room that was made for one that is not decided on yet is a
 * **reservation**.
 */
export class Ledger {
  /** By uid. */
  readonly #active = new Map<string, ActiveSession>();
  readonly #places = new Set<string>();
  #reservations = 0;
  /** Time ends no active session before then. */
  #nextDueMs = Number.POSITIVE_INFINITY;
  #storedBytes = 0;
  #filling: Filling | undefined = new Filling();

  get storedBytes(): number {
    return this.#storedBytes;
  }

  get isEmpty(): boolean {
    return this.#active.size + this.#places.size + this.#reservations + this.#storedBytes === 0;
  }

  /** Takes in a session that the store has. */
  fill(stored: StoredSession): void {
    const { uid } = stored.session;
    if (this.#filling === undefined || this.#filling.told.has(uid)) return;
    const bytes = ownBytes(stored);
    this.#filling.bytes.set(uid, bytes);
    this.#storedBytes += bytes;
    if (!hasEnded(stored)) this.#filling.entries.set(uid, entryOf(stored));
  }

  /** The store has no more. */
  filled(): void {
    const read = this.#filling?.entries.values() ?? [];
    const all = [...read, ...this.#active.values()];
    this.#filling = undefined;
    this.#active.clear();
    for (const entry of all.sort((a, b) => a.lastActivityMs - b.lastActivityMs)) this.#put(entry);
  }

  /** Takes note of a commit that is durable. */
  note({ change: { key, before, after } }: Committed): void {
    const { uid } = key;
    this.#storedBytes += ownBytes(after) - this.#countedBytes(uid, before);
    if (after === undefined || hasEnded(after)) {
      this.#active.delete(uid);
      return;
    }
    this.#places.delete(uid);
    const entry = entryOf(after);
    // The order is that of the last activity; a change of fields is none.
    if (this.#active.get(uid)?.lastActivityMs !== entry.lastActivityMs) this.#active.delete(uid);
    this.#put(entry);
  }

  /** Sessions that have not ended as of now, places and reservations. */
  countActive(nowMs: number): number {
    if (nowMs >= this.#nextDueMs) this.#dropDue(nowMs);
    return this.#active.size + this.#places.size + this.#reservations;
  }

  /** Sessions that have not ended as of now, the longest idle first. */
  longestIdle(nowMs: number): Iterable<ActiveSession> {
    if (nowMs >= this.#nextDueMs) this.#dropDue(nowMs);
    return this.#active.values();
  }

  reserve(): void {
    this.#reservations++;
  }

  giveBackReservation(): void {
    this.#reservations--;
  }

  takePlace(uid: string): void {
    this.#places.add(uid);
  }

  /** Gives a place back, unless a commit has filled it. */
  giveBackPlace(uid: string): void {
    this.#places.delete(uid);
  }

  #put(entry: ActiveSession): void {
    this.#active.set(entry.uid, entry);
    this.#nextDueMs = Math.min(this.#nextDueMs, entry.dueMs);
  }

  /** What time has ended counts no more; its end will be written, and may be undone by a reopening. */
  #dropDue(nowMs: number): void {
    this.#nextDueMs = Number.POSITIVE_INFINITY;
    for (const [uid, { dueMs }] of this.#active) {
      if (dueMs <= nowMs) this.#active.delete(uid);
      else this.#nextDueMs = Math.min(this.#nextDueMs, dueMs);
    }
  }

  /** What is in the sum for a session before a commit. */
  #countedBytes(uid: string, before: StoredSession | undefined): number {
    const filling = this.#filling;
    if (filling === undefined || filling.told.has(uid)) return ownBytes(before);
    filling.told.add(uid);
    filling.entries.delete(uid);
    return filling.bytes.get(uid) ?? 0;
  }
}

/** Bytes of a session's own events; those that a fork inherits count where they came from. */
export function ownBytes(stored: StoredSession | undefined): number {
  if (stored === undefined) return 0;
  return (stored.head.metrics?.storedBytes ?? 0) - stored.head.inheritedBytes;
}

function entryOf(stored: StoredSession): ActiveSession {
  const { session, head } = stored;
  return {
    uid: session.uid,
    sessionId: session.sessionId,
    lastActivityMs: head.lastActivityTime ? timestampMs(head.lastActivityTime) : 0,
    dueMs: dueOf(stored)?.atMs ?? Number.POSITIVE_INFINITY,
  };
}
