import { SessionSchema, type SessionState } from "@sessiond/contract";
import { limits } from "../../limits.ts";
import type { Committed, RecordRange, Store, StoredRecord } from "../../store/store.ts";
import { Pace } from "../upkeep/verify/pace.ts";
import { decoded } from "../upkeep/verify/walk.ts";

/** Where sessions are read, and who tells of their changes. */
interface SessionSource {
  readonly readSessions: (range: RecordRange) => Promise<readonly StoredRecord[]>;
  readonly onCommit: Store["onCommit"];
}

/** The sessions of a store. */
export function sessionsOf(store: Pick<Store, "records" | "onCommit">): SessionSource {
  return {
    readSessions: async (range) => (await store.records(range))[0],
    onCommit: (listener) => store.onCommit(listener),
  };
}

/** What the store has, while it is read. */
class Filling {
  /** States of sessions that were read, by uid. */
  readonly read = new Map<string, SessionState>();
  /** Sessions a commit told of meanwhile: what the store says of them later is no news. */
  readonly told = new Set<string>();
}

/**
 * How many sessions there are in each state, as it is written down: one whose time has come is in its
 * old state until the sweep ends it.
 *
 * Read from the store once, in pieces beside all other work, and moved by commits from then on.
 */
export class SessionTally {
  readonly #readSessions: SessionSource["readSessions"];
  readonly #counts = new Map<SessionState, number>();
  readonly #closed = new AbortController();
  readonly #forget: () => void;
  #filling: Filling | undefined = new Filling();
  #filled: Promise<void> | undefined;

  constructor({ onCommit, readSessions }: SessionSource) {
    this.#readSessions = readSessions;
    this.#forget = onCommit((committed) => this.#note(committed));
  }

  /** Sessions by state, also those without any; undefined until the store has been read. */
  get counts(): ReadonlyMap<SessionState, number> | undefined {
    return this.#filling === undefined ? this.#counts : undefined;
  }

  /** Reads what the store has. Errors: those of `Store.records`; the counts are then not known. */
  fill(): Promise<void> {
    this.#filled ??= this.#fill().catch((error: unknown) => {
      if (!this.#closed.signal.aborted) throw error;
    });
    return this.#filled;
  }

  /** Stops reading and counting. */
  async close(): Promise<void> {
    this.#forget();
    this.#closed.abort();
    await this.#filled?.catch(() => {});
  }

  async #fill(): Promise<void> {
    const { signal } = this.#closed;
    const pace = new Pace({ signal, isBusy: () => false });
    for (let after: Uint8Array | undefined; ; ) {
      const range = { table: "sessions", ...(after && { after }) } as const;
      const page = await this.#readSessions({
        ...range,
        limit: limits.verifyRecords,
        maxBytes: limits.verifyBytes,
      });
      after = page.at(-1)?.key;
      if (after === undefined) break;
      for (const record of page) {
        const session = decoded(SessionSchema, record);
        if (session !== undefined) this.#take(session.uid, session.state);
      }
      await pace.between();
    }
    this.#filling = undefined;
  }

  #take(uid: string, state: SessionState): void {
    // One that was renamed meanwhile may be read under both names.
    if (this.#filling?.told.has(uid) || this.#filling?.read.has(uid)) return;
    this.#filling?.read.set(uid, state);
    this.#add(state, 1);
  }

  #note({ change: { key, before, after } }: Committed): void {
    if (before === undefined && after === undefined) return;
    const from = this.#countedState(key.uid, before?.session.state);
    const to = after?.session.state;
    if (from === to) return;
    if (from !== undefined) this.#add(from, -1);
    if (to !== undefined) this.#add(to, 1);
  }

  /** The state under which a session is in the counts before a commit. */
  #countedState(uid: string, before: SessionState | undefined): SessionState | undefined {
    const filling = this.#filling;
    if (filling === undefined || filling.told.has(uid)) return before;
    filling.told.add(uid);
    const read = filling.read.get(uid);
    filling.read.delete(uid);
    return read;
  }

  #add(state: SessionState, sessions: number): void {
    this.#counts.set(state, (this.#counts.get(state) ?? 0) + sessions);
  }
}
