import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Committed, StoredSession } from "../../store/store.ts";
import { dueOf } from "../lifecycle/due.ts";
import { hasEnded } from "../lifecycle/states.ts";

/** A session that has not ended, as the ledger knows it. */
export interface ActiveSession {
  readonly sessionId: string;
  readonly lastActivityMs: number;
  /** When time ends it, whether or not that is written down. */
  readonly dueMs: number;
}

/**
 * What a namespace has: its sessions that have not ended, the longest idle first, and the bytes of its
 * logs. Filled from the store once, then kept up to date by the commits.
 *
 * A session that is about to become active holds a **place**, so that sessions created at once do not
 * pass the quota together.
 */
export class Ledger {
  readonly #active = new Map<string, ActiveSession>();
  readonly #places = new Set<string>();
  /** Sessions a commit told of while the ledger was filled: what the store says of them is older. */
  #told: Set<string> | undefined = new Set();
  #storedBytes = 0;

  get storedBytes(): number {
    return this.#storedBytes;
  }

  /** Puts in what the store has. */
  fill(sessions: readonly StoredSession[]): void {
    const found = sessions.filter(({ session }) => !this.#told?.has(session.sessionId));
    for (const stored of found) this.#storedBytes += bytesOf(stored);
    const active = found.filter((stored) => !hasEnded(stored)).map(entryOf);
    const byActivity = [...active, ...this.#active.values()].sort(
      (a, b) => a.lastActivityMs - b.lastActivityMs,
    );
    this.#active.clear();
    for (const entry of byActivity) this.#active.set(entry.sessionId, entry);
    this.#told = undefined;
  }

  /** Takes note of a commit that is durable. */
  note({ change: { key, before, after } }: Committed): void {
    const told = this.#told;
    // While the ledger is filled the session is counted whole here, and left out there.
    const known = told === undefined || told.has(key.sessionId);
    this.#storedBytes += (after ? bytesOf(after) : 0) - (known && before ? bytesOf(before) : 0);
    told?.add(key.sessionId);
    this.#places.delete(key.sessionId);
    const sessionId = after?.session.sessionId ?? key.sessionId;
    if (sessionId !== key.sessionId) {
      told?.add(sessionId);
      this.#active.delete(key.sessionId);
    }
    if (after === undefined || hasEnded(after)) {
      this.#active.delete(sessionId);
      return;
    }
    const entry = entryOf(after);
    // The order is that of the last activity; a change of fields is none.
    if (this.#active.get(sessionId)?.lastActivityMs !== entry.lastActivityMs) {
      this.#active.delete(sessionId);
    }
    this.#active.set(sessionId, entry);
  }

  /** Sessions that have not ended as of now, and places. */
  countActive(nowMs: number): number {
    return this.longestIdle(nowMs).length + this.#places.size;
  }

  /** True when there is room for another session. Looks at each of them only when it must. */
  hasRoom(limit: number, nowMs: number): boolean {
    return this.#active.size + this.#places.size < limit || this.countActive(nowMs) < limit;
  }

  /** Sessions that have not ended as of now, the longest idle first. */
  longestIdle(nowMs: number): ActiveSession[] {
    return [...this.#active.values()].filter(({ dueMs }) => dueMs > nowMs);
  }

  holdsPlace(sessionId: string): boolean {
    return this.#places.has(sessionId);
  }

  takePlace(sessionId: string): void {
    this.#places.add(sessionId);
  }

  /** Gives a place back that no commit has filled. */
  release(sessionId: string): void {
    this.#places.delete(sessionId);
  }
}

function entryOf(stored: StoredSession): ActiveSession {
  const { session, head } = stored;
  return {
    sessionId: session.sessionId,
    lastActivityMs: head.lastActivityTime ? timestampMs(head.lastActivityTime) : 0,
    dueMs: dueOf(stored)?.atMs ?? Number.POSITIVE_INFINITY,
  };
}

function bytesOf({ head }: StoredSession): number {
  return head.metrics?.storedBytes ?? 0;
}
