import { DataLossError, ShuttingDownError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Change, Store, StoredSession } from "../../store/store.ts";
import type { SessionCell, SessionCells } from "../session-cells.ts";
import { Turns } from "../turns.ts";
import type { Closings } from "./closings.ts";

/** Keeps a session that is about to be removed. Resolves once it is kept for good. */
export type Keep = (session: StoredSession) => Promise<void>;

export interface RemovalOptions {
  /**
   * Whether the session is still to go, as it is by now. Asked while its children go and before it goes
   * itself. Default: it is.
   */
  readonly isWanted?: (latest: StoredSession) => boolean;
  /** Keeps each before it goes. One that changes meanwhile stays. Default: they are gone. */
  readonly keep?: Keep | undefined;
  /** Hears of each child that is gone. */
  readonly onChild?: (child: StoredSession) => void;
  /** Goes with the commit that deletes the session itself; called in its turn. */
  readonly request?: () => Change["request"];
}

interface Removal extends RemovalOptions {
  /** How many of its children go at once. */
  readonly width: number;
}

/**
 * Deletes sessions with their children.
 *
 * 1. The session is closed: nobody makes a child of it, or renames it, before this is over.
 * 2. Its children are deleted in the same way, and durably, until it has none.
 * 3. It is deleted itself.
 *
 * So a crash leaves a session with fewer children, and never a child without its parent.
 */
export class Removals {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #closings: Closings;
  readonly #shutdown: AbortSignal;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    closings: Closings;
    /** Fires when the server is about to stop; removals of many children end. */
    shutdown: AbortSignal;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#closings = args.closings;
    this.#shutdown = args.shutdown;
  }

  /**
   * Deletes the session that a cell has now. False: there is none any more, or it is not to go, or it
   * changed while it was kept; some of its children may be gone.
   *
   * Errors: DataLossError for a child that cannot be read, ShuttingDownError, and those of the options
   * and of `Store.commit`. What is left is found by a removal begun anew.
   */
  remove(cell: SessionCell, options: RemovalOptions = {}): Promise<boolean> {
    return this.#remove(cell, { ...options, width: limits.childrenAtOnce });
  }

  async #remove(cell: SessionCell, removal: Removal): Promise<boolean> {
    for (;;) {
      const { latest } = cell;
      if (latest === undefined) return false;
      const { uid } = latest.session;
      const gone = await this.#closings.closed(uid, () => this.#removeClosed(cell, uid, removal));
      if (gone !== undefined) return gone;
    }
  }

  async #removeClosed(cell: SessionCell, uid: string, removal: Removal): Promise<boolean> {
    const { isWanted = always, keep, request } = removal;
    let isSame = always;
    if (keep !== undefined) {
      await cell.settled();
      const kept = cell.latest;
      if (kept?.session.uid !== uid || !isWanted(kept)) return false;
      await keep(kept);
      isSame = (latest) => latest === kept;
    }
    const isToGo = () => {
      const { latest } = cell;
      return latest?.session.uid === uid && isWanted(latest) && isSame(latest);
    };
    const turns = new Turns();
    for (;;) {
      if (!isToGo()) return false;
      const children = await this.#children(cell, uid, removal.width);
      if (children.length === 0) break;
      if (this.#shutdown.aborted) throw new ShuttingDownError();
      const ends = await Promise.allSettled(children.map((child) => this.#child(child, removal)));
      for (const end of ends) {
        if (end.status === "rejected") throw end.reason;
        if (!end.value) return false;
      }
      await turns.yield();
    }
    if (!isToGo()) return false;
    const record = request?.();
    await cell.commit({ events: [], ...(record && { request: record }) });
    return true;
  }

  /** Deletes a child where it is; false: it changed while it was kept. */
  #child({ session }: StoredSession, { keep, onChild }: Removal): Promise<boolean> {
    return this.#cells.use(session, async (cell) => {
      const child = cell.latest;
      if (child?.session.uid !== session.uid) {
        // Deleted or renamed by a commit that is not there yet: looked for again behind it.
        await cell.settled();
        return true;
      }
      const isGone = await this.#remove(cell, {
        keep,
        ...(onChild && { onChild }),
        isWanted: (latest) => latest.session.uid === session.uid,
        width: 1,
      });
      if (isGone) onChild?.(child);
      // Where there is nothing to keep it is gone, or found again under another name.
      return isGone || cell.latest?.session.uid !== session.uid;
    });
  }

  /** Some of its children. Errors: DataLossError for one that cannot be read. */
  async #children({ name }: SessionCell, uid: string, limit: number): Promise<StoredSession[]> {
    const { namespace, sessionId } = name;
    const index = { by: "parent", value: uid } as const;
    const damaged: string[] = [];
    const onLeftOut = (id: string) => damaged.push(id);
    const children = await this.#store.listSessions({ namespace, index, limit, onLeftOut });
    const [child] = damaged;
    if (child === undefined) return children;
    // It would be left without its parent.
    throw new DataLossError({ record: `session "${child}", a child of "${sessionId}",` });
  }
}

const always: (latest: StoredSession) => boolean = () => true;
