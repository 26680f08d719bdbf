import { CompactionStrategy } from "@sessiond/contract";
import { CompactionStaleError } from "../../../errors.ts";
import { limits } from "../../../limits.ts";
import type { StoredSession } from "../../../store/store.ts";
import { hasEnded } from "../../lifecycle/states.ts";
import type { SessionCells, SessionName } from "../../session-cells.ts";
import { isCompactionDue } from "../usage.ts";
import type { Compactions } from "./compactions.ts";
import { compactionPolicy } from "./compactor.ts";

/**
 * Starts compactions that are due, beside the appends that made them so: nobody waits for them.
 *
 * One at a time for a session. What fails is tried again with a later append, when the window has
 * grown a little; until then windows are cut to fit.
 */
export class BackgroundCompaction {
  readonly #cells: SessionCells;
  readonly #compactions: Compactions;
  readonly #onError: (error: unknown, name: SessionName) => void;
  readonly #running = new Map<string, Promise<void>>();
  /** Window tokens below which a session is not tried again, because it was in vain. */
  readonly #holds = new Map<string, number>();
  readonly #closed = new AbortController();

  constructor(args: {
    cells: SessionCells;
    compactions: Compactions;
    /** Hears of compactions that failed. */
    onCompactionError?: (error: unknown, name: SessionName) => void;
  }) {
    this.#cells = args.cells;
    this.#compactions = args.compactions;
    this.#onError = args.onCompactionError ?? (() => {});
  }

  /** Looks whether a compaction of the session is due by its policy, and starts it. */
  consider(stored: StoredSession): void {
    const { uid } = stored.session;
    if (this.#closed.signal.aborted || this.#running.has(uid)) return;
    if (this.#running.size >= limits.compactions || !this.#isDue(stored)) return;
    const run = this.#run(stored).finally(() => this.#running.delete(uid));
    this.#running.set(uid, run);
  }

  /** Waits for the compactions under way. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  /** Gives up those that wait for a summary. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.settled();
  }

  #isDue(stored: StoredSession): boolean {
    const policy = compactionPolicy(stored);
    if (policy.manual || hasEnded(stored) || !isCompactionDue(stored, policy)) return false;
    const { windowTokens, context } = stored.head;
    if (policy.strategy === CompactionStrategy.CLIENT && context?.dueRevision) return false;
    return windowTokens >= (this.#holds.get(stored.session.uid) ?? 0);
  }

  async #run({ session }: StoredSession): Promise<void> {
    const { namespace, sessionId, uid } = session;
    const name = { namespace, sessionId };
    try {
      await this.#cells.use(name, async (cell) => {
        while (cell.durable?.session.uid === uid && this.#isDue(cell.durable)) {
          this.#hold(cell.durable);
          const { signal } = this.#closed;
          if (!(await this.#compactions.compactByPolicy(cell, signal))) return;
          this.#holds.delete(uid);
        }
      });
    } catch (error) {
      // Somebody else changed what was planned on; the next append looks again.
      if (error instanceof CompactionStaleError) this.#holds.delete(uid);
      else if (!this.#closed.signal.aborted) this.#onError(error, name);
    }
  }

  #hold(stored: StoredSession): void {
    const { uid } = stored.session;
    this.#holds.delete(uid);
    this.#holds.set(uid, stored.head.windowTokens + compactionPolicy(stored).room * retryShare);
    for (const oldest of this.#holds.keys()) {
      if (this.#holds.size <= limits.cachedSessions) return;
      this.#holds.delete(oldest);
    }
  }
}

/** Share of the room by which a window grows until a compaction that was in vain is tried again. */
const retryShare = 0.02;
