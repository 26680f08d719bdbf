import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { NamespaceLogEntry } from "@sessiond/contract/store";
import { limits } from "../limits.ts";
import { uidText } from "./keys.ts";

/** A pass begins so long after the one before, or earlier, when the logs have grown by half. */
const PASS_EVERY_MS = 15 * 60 * 1_000;
/** Entries looked at in a piece: about a millisecond, where 500 took so much that appends queued. */
const PIECE_ENTRIES = 100;
/** By so many entries they grow before that counts. */
const LEAST_GROWTH = 4_096;

/** A place in the logs of all namespaces. */
export interface LogPlace {
  readonly namespace: string;
  readonly offset: number;
}

export interface PlacedEntry extends LogPlace {
  /** Undefined: it is damaged. */
  readonly entry: NamespaceLogEntry | undefined;
}

/** What an engine has, as of now. */
export interface SweptLogs {
  /** Entries of all namespaces, each namespace's by rising offset. Without a place: the first ones. */
  entries(args: { after: LogPlace | undefined; limit: number }): PlacedEntry[];
  newestOffset(namespace: string): number;
  /** Asked after `entries`, and of no earlier state. */
  hasSession(uid: string): boolean;
  entryCount(): number;
}

/** What a piece of the sweep removes. */
export interface SweptPiece {
  readonly entries: readonly LogPlace[];
  /** Namespaces whose deletions are gone up to an offset now. */
  readonly goneThrough: ReadonlyMap<string, number>;
}

/**
 * Finds entries of namespace logs that nobody needs: those of deleted sessions at once, the deletions
 * themselves when they are old.
 *
 * A walk through all logs, a piece at a time, the same in every engine. A pass begins when something
 * was deleted since the last one began, but not before the logs have grown by half or some time has
 * gone by: so the walk costs an append no more than looking at a few entries, and what is there to
 * be removed is never more than half of what is not.
 *
 * Of a namespace's deletions none goes before those in front of it, so that one offset says which are
 * gone. Its newest entry stays, because offsets go on from there.
 */
export class LogSweep {
  readonly #logs: SweptLogs;
  /** Something was deleted since the last pass began; after a start that is not known. */
  #isDue = true;
  #beganMs = Number.NEGATIVE_INFINITY;
  /** When the first of the deletions that were kept is old. */
  #nextExpiryMs = Number.POSITIVE_INFINITY;
  /** Entries that the last pass left. */
  #left = 0;
  #pass: Pass | undefined;

  constructor(logs: SweptLogs) {
    this.#logs = logs;
  }

  /** Takes note that a session was deleted. */
  noteDeletion(): void {
    this.#isDue = true;
  }

  /** Looks at up to `limit` entries; undefined: no pass is due. */
  find(args: { nowMs: number; limit: number }): SweptPiece | undefined {
    const { nowMs } = args;
    const limit = Math.min(args.limit, PIECE_ENTRIES);
    this.#pass ??= this.#begin(nowMs);
    if (this.#pass === undefined) return undefined;
    const entries = this.#logs.entries({ after: this.#pass.place, limit });
    const piece = this.#pass.look(entries, nowMs);
    if (entries.length < limit) this.#end(this.#pass, piece.entries.length);
    return piece;
  }

  #begin(nowMs: number): Pass | undefined {
    // Also when the clock was set back.
    const isLongAgo = Math.abs(nowMs - this.#beganMs) >= PASS_EVERY_MS;
    const isWorthIt = isLongAgo || (this.#isDue && this.#hasGrown());
    if (!isWorthIt || !(this.#isDue || nowMs > this.#nextExpiryMs)) return undefined;
    this.#isDue = false;
    this.#beganMs = nowMs;
    return new Pass(this.#logs, nowMs);
  }

  #hasGrown(): boolean {
    return this.#logs.entryCount() >= 1.5 * this.#left + LEAST_GROWTH;
  }

  #end(pass: Pass, removes: number): void {
    this.#nextExpiryMs = pass.nextExpiryMs;
    this.#left = this.#logs.entryCount() - removes;
    this.#pass = undefined;
  }
}

/** One walk through all logs. */
class Pass {
  readonly #logs: SweptLogs;
  readonly #beganMs: number;
  /** Behind what was looked at. */
  place: LogPlace | undefined;
  nextExpiryMs: number;
  /** In the namespace at `place` a deletion was kept. */
  #keptOne = false;
  #newest = 0;

  constructor(logs: SweptLogs, beganMs: number) {
    this.#logs = logs;
    this.#beganMs = beganMs;
    // Whatever is deleted from now on.
    this.nextExpiryMs = beganMs + limits.deletionNoticeTtlMs;
  }

  look(entries: readonly PlacedEntry[], nowMs: number): SweptPiece {
    const removed: LogPlace[] = [];
    const goneThrough = new Map<string, number>();
    const known = new Map<string, boolean>();
    for (const { namespace, offset, entry } of entries) {
      if (namespace !== this.place?.namespace) {
        this.#keptOne = false;
        this.#newest = this.#logs.newestOffset(namespace);
      }
      this.place = { namespace, offset };
      if (entry === undefined || offset >= this.#newest) continue;
      if (!entry.deleted) {
        if (!this.#hasSession(entry, known)) removed.push(this.place);
      } else if (!this.#keptOne && this.#isOld(entry, nowMs)) {
        removed.push(this.place);
        goneThrough.set(namespace, offset);
      } else {
        this.#keptOne = true;
      }
    }
    return { entries: removed, goneThrough };
  }

  #hasSession({ sessionUid }: NamespaceLogEntry, known: Map<string, boolean>): boolean {
    const uid = uidText(sessionUid);
    const before = known.get(uid);
    if (before !== undefined) return before;
    const exists = this.#logs.hasSession(uid);
    known.set(uid, exists);
    return exists;
  }

  /**
   * By the time at which the pass began: the other entries of a session that was deleted since then may
   * lie behind, and go before its deletion does. A time that lies as far ahead is from a clock that
   * was wrong.
   */
  #isOld({ deleteTime }: NamespaceLogEntry, nowMs: number): boolean {
    const ttlMs = limits.deletionNoticeTtlMs;
    const timeMs = deleteTime === undefined ? Number.NEGATIVE_INFINITY : timestampMs(deleteTime);
    if (timeMs < this.#beganMs - ttlMs || timeMs > Math.max(this.#beganMs, nowMs) + ttlMs)
      return true;
    this.nextExpiryMs = Math.min(this.nextExpiryMs, timeMs + ttlMs);
    return false;
  }
}
