import { setTimeout as sleep } from "node:timers/promises";
import { ShuttingDownError, WritesRefusedError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import type { Deadline, Store, StoredSession } from "../../store/store.ts";
import type { Keep, Removals } from "../children/removals.ts";
import { batchSessions, paceMs } from "../pace.ts";
import type { Outcome } from "../record.ts";
import type { SessionCell, SessionCells, SessionName } from "../session-cells.ts";
import { dueOf } from "./due.ts";
import { lapse } from "./lapse.ts";
import { withDueTime } from "./transitions.ts";

/** Longest rest: a wall clock may jump ahead. */
const maxRestMs = 30_000;
/** Sessions that could not be swept and are passed over until the next pass. */
const maxFailed = 1_024;

/**
 * Keeps a session that is about to be removed. Resolves once it is kept for good.
 *
 * When it fails the session stays, and is tried again.
 */
export type Archive = Keep;

/**
 * Writes down what time has done: the ends of sessions that timed out or expired, and the removal of
 * those whose retention is over.
 *
 * Nobody waits for it: reads and appends go by the time themselves. It rests until the next session
 * is due.
 */
export class Sweeper {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #removals: Removals;
  readonly #clock: Clock;
  readonly #onError: (error: unknown, name: SessionName) => void;
  readonly #archive: Archive | undefined;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #restUntilMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> = Promise.resolve();

  constructor(args: {
    store: Store;
    cells: SessionCells;
    removals: Removals;
    clock: Clock;
    /** Hears of sessions that could not be swept; they are tried again. */
    onError: (error: unknown, name: SessionName) => void;
    /** Keeps sessions before they are removed. Default: they are removed and gone. */
    archive?: Archive | undefined;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#removals = args.removals;
    this.#clock = args.clock;
    this.#onError = args.onError;
    this.#archive = args.archive;
  }

  start(): void {
    this.#store.onCommit(({ change: { before, after } }) => {
      // An append leaves the session as it is, and its due time where it was.
      if (after === undefined || after.session === before?.session) return;
      const due = dueOf(after);
      if (due !== undefined && due.atMs < this.#restUntilMs) this.#wake.abort();
    });
    this.#running = this.#run();
  }

  /** Waits for the batch under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
  }

  /**
   * Sweeps what is due now, batch by batch. Resolves when nothing is left, or at a stop. `rest` is
   * called between batches. Sessions that cannot be swept are passed over; gives their uids.
   *
   * Errors: those of `Store.dueDeadlines`.
   */
  async sweep(rest: () => Promise<void> = () => Promise.resolve()): Promise<ReadonlySet<string>> {
    const failed = new Set<string>();
    while (!this.#stop.signal.aborted && failed.size < maxFailed) {
      const limit = failed.size + batchSessions;
      const due = await this.#store.dueDeadlines({ nowMs: this.#clock(), limit });
      const batch = due.filter(({ key }) => !failed.has(key.uid));
      if (batch.length === 0) break;
      await Promise.all(batch.map((deadline) => this.#sweepOne(deadline, failed)));
      await rest();
    }
    return failed;
  }

  async #sweepOne({ key }: Deadline, failed: Set<string>): Promise<void> {
    const { namespace, sessionId, uid } = key;
    try {
      await this.#cells.use({ namespace, sessionId }, async (cell) => {
        const before = cell.latest?.session.uid === uid ? cell.latest : undefined;
        if (before !== undefined && (await this.#advance(cell, before))) return;
        // Deleted or renamed by a commit that is not there yet; or it, or a child, changed while it was kept.
        failed.add(uid);
      });
    } catch (error) {
      failed.add(uid);
      // A full disk is no news of a session; removals are still taken.
      if (error instanceof WritesRefusedError || error instanceof ShuttingDownError) return;
      if (this.#stop.signal.aborted) return;
      this.#onError(error, { namespace, sessionId });
    }
  }

  /** Brings a session to where its time has it. False: it is not there, because somebody changed it. */
  async #advance(cell: SessionCell, before: StoredSession): Promise<boolean> {
    if (this.#isOver(before)) return this.#remove(cell);
    await cell.commit(lapse(before, this.#clock()) ?? moved(before));
    return true;
  }

  /**
   * Removes a session with its children. Somebody may reopen it, or change its retention, while they are
   * archived: then it stays.
   */
  #remove(cell: SessionCell): Promise<boolean> {
    const isWanted = (latest: StoredSession) => this.#isOver(latest);
    return this.#removals.remove(cell, { isWanted, keep: this.#archive });
  }

  /** Its retention is over. */
  #isOver(stored: StoredSession): boolean {
    const due = dueOf(stored);
    return due !== undefined && due.atMs <= this.#clock() && due.cause === "retention";
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const rest = () => sleep(paceMs, undefined, { signal, ref: false }).catch(() => {});
    while (!signal.aborted) {
      this.#wake = new AbortController();
      // Until the rest is known, whatever gets a due time makes it look again.
      this.#restUntilMs = Number.POSITIVE_INFINITY;
      let restMs = maxRestMs;
      try {
        restMs = await this.#restMs(await this.sweep(rest));
      } catch {
        // The store fails to read: whoever calls hears of it, and this tries again.
      }
      await rest();
      const wake = this.#wake.signal;
      await sleep(restMs, undefined, { signal: wake, ref: false }).catch(() => {});
    }
  }

  /** Time until the next session is due, beside those that could not be swept; these can wait. */
  async #restMs(failed: ReadonlySet<string>): Promise<number> {
    const nowMs = this.#clock();
    const limit = failed.size + 1;
    const due = await this.#store.dueDeadlines({ nowMs: nowMs + maxRestMs, limit });
    const next = due.find(({ key }) => !failed.has(key.uid));
    // Not negative: a session may have become due since the sweep looked.
    const restMs = next === undefined ? maxRestMs : Math.max(0, next.dueMs - nowMs);
    this.#restUntilMs = nowMs + restMs;
    return restMs;
  }
}

/** Idle expiry that was moved on by appends: the store is told the new time. */
function moved(before: StoredSession): Outcome {
  return { after: withDueTime(before), events: [] };
}
