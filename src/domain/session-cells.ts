import { toBinary } from "@bufbuild/protobuf";
import { SessionSchema } from "@sessiond/contract";
import { RevisionConflictError, SessionNotFoundError } from "../errors.ts";
import type { Clock } from "../ids.ts";
import type { Change, Committed, SessionKey, Store, StoredSession } from "../store/store.ts";
import type { CacheStats } from "./cache-stats.ts";
import { Contributions } from "./metrics/contributions.ts";

export interface SessionName {
  readonly namespace: string;
  readonly sessionId: string;
}

/** Uid in a change that is about no session: it keeps an answer, or changes states. */
export const noUid = "00000000-0000-0000-0000-000000000000";

/**
 * A change without what the cell knows. Without `after` it deletes the session, if there is one. What it
 * contributes to aggregates follows from it, unless it says that.
 */
export type Decision = Omit<Change, "key" | "before" | "deleteTimeMs">;

/**
 * One session in memory: what the next decision starts from, and what is durable.
 *
 * Decisions are synchronous and start from the speculative state, so they follow one another
 * without waiting for the disk; their commits overlap and settle in order. Reads see only what is
 * durable.
 */
export class SessionCell {
  readonly name: SessionName;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #contributions: Contributions;
  #speculative: StoredSession | undefined;
  #durable: StoredSession | undefined;
  #underWay = 0;
  #failure: unknown;
  #newest: Promise<void> = Promise.resolve();

  constructor(args: {
    store: Store;
    clock: Clock;
    contributions: Contributions;
    name: SessionName;
    stored: StoredSession | undefined;
  }) {
    this.#store = args.store;
    this.#clock = args.clock;
    this.#contributions = args.contributions;
    this.name = args.name;
    this.#speculative = args.stored;
    this.#durable = args.stored;
  }

  /** What the next decision starts from; undefined: there is no such session. */
  get latest(): StoredSession | undefined {
    return this.#speculative;
  }

  /** What a reader may see; undefined: there is no such session. */
  get durable(): StoredSession | undefined {
    return this.#durable;
  }

  /** Errors: SessionNotFoundError. */
  requireLatest(): StoredSession {
    if (this.#speculative === undefined) throw new SessionNotFoundError(this.name);
    return this.#speculative;
  }

  /** Errors: SessionNotFoundError. */
  requireDurable(): StoredSession {
    if (this.#durable === undefined) throw new SessionNotFoundError(this.name);
    return this.#durable;
  }

  /** Takes note that a commit is durable; called for each, in order. */
  acknowledge(after: StoredSession | undefined): void {
    this.#durable = after;
  }

  /** Waits for the commits under way, so that an answer about `latest` tells what is durable. */
  async settled(): Promise<void> {
    // A commit that failed before does not matter: what is told now was not decided on it.
    if (!this.isIdle) await this.#newest;
  }

  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /**
   * Commits a decision made on `latest`, and makes its outcome the new `latest` at once.
   *
   * Must be called in the same turn of the event loop as the decision. Resolves when durable.
   * When a commit fails, those decided on top of it fail with the same error.
   *
   * Errors: those of `Store.commit`.
   */
  commit(change: Decision): Promise<Committed> {
    return this.#commit(change, change.after);
  }

  /**
   * Commits a decision that gives the session the name of another cell, which has none. This name is
   * free at once; what `commit` says holds for both cells.
   *
   * Errors: those of `Store.commit`.
   */
  async rename(change: Decision & { after: StoredSession }, target: SessionCell): Promise<void> {
    const commit = this.#commit(change, undefined);
    await Promise.all([commit, target.#follow(commit, change.after)]);
  }

  async #commit(change: Decision, latest: StoredSession | undefined): Promise<Committed> {
    if (this.#failure !== undefined) throw this.#failure;
    const before = this.#speculative;
    checkFollows(before, change);
    const uid = (change.after ?? before)?.session.uid ?? noUid;
    const key: SessionKey = { ...this.name, uid };
    const deletes = before !== undefined && change.after === undefined;
    const ofSession = {
      ...(before === undefined ? {} : { before }),
      ...(deletes && { deleteTimeMs: this.#clock() }),
    };
    const { after, events } = change;
    const rollups =
      change.rollups ?? this.#contributions.of({ ...ofSession, ...(after && { after }), events });
    const commit = this.#store.commit({
      ...change,
      key,
      ...ofSession,
      ...(rollups && { rollups }),
    });
    return this.#follow(commit, latest);
  }

  /** Takes part in a commit that leads to `latest` here. */
  async #follow<T>(commit: Promise<T>, latest: StoredSession | undefined): Promise<T> {
    this.#speculative = latest;
    this.#underWay++;
    // Without its value, or the newest batch of every session in memory would be kept alive.
    this.#newest = commit.then(ignore);
    this.#newest.catch(ignore);
    try {
      return await commit;
    } catch (error) {
      this.#failure ??= error;
      throw this.#failure;
    } finally {
      this.#underWay--;
      if (this.#failure !== undefined && this.#underWay === 0) {
        this.#failure = undefined;
        this.#speculative = this.#durable;
      }
    }
  }
}

/**
 * A decision that was made on another state is a defect of its caller. It is refused before the cell
 * takes it over: what others decide next would be built on what never comes to be.
 *
 * Errors: RangeError.
 */
function checkFollows(before: StoredSession | undefined, { after, events }: Decision): void {
  if (before === undefined || after?.session.uid !== before.session.uid) return;
  const { revision } = before.head;
  const isNext = (events[0]?.revision ?? revision + 1) === revision + 1;
  if (isNext && after.head.revision === revision + events.length) return;
  throw new RangeError(
    `a change of "${after.session.sessionId}" to ${after.head.revision} was not decided on revision ${revision}`,
  );
}

interface Entry {
  readonly cell: Promise<SessionCell>;
  /** Set once loaded. */
  loaded?: SessionCell;
  /** Calls that hold the cell now. */
  users: number;
  /** Size of the session's own fields when it was last looked at. */
  bytes: number;
}

/** The sessions in memory, by name; the least recently used leave when there are too many. */
export class SessionCells {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #contributions: Contributions;
  readonly #limit: number;
  readonly #limitBytes: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #hits = 0;
  #misses = 0;

  constructor(args: {
    store: Store;
    clock: Clock;
    /** What commits add to aggregates. Default: those by agent and user. */
    contributions?: Contributions;
    limit: number;
    limitBytes: number;
  }) {
    this.#store = args.store;
    this.#clock = args.clock;
    this.#contributions = args.contributions ?? new Contributions();
    this.#limit = args.limit;
    this.#limitBytes = args.limitBytes;
    args.store.onCommit(({ change: { key, before, after } }) => {
      const isRenamed = after !== undefined && after.session.sessionId !== key.sessionId;
      this.#acknowledge(key, before, isRenamed ? undefined : after);
      if (isRenamed) this.#acknowledge(after.session, undefined, after);
    });
  }

  /** A hit is a call that finds its session in memory. Bytes are those of the sessions' own fields. */
  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      entries: this.#entries.size,
      bytes: this.#bytes,
      limitBytes: this.#limitBytes,
    };
  }

  /**
   * Runs with the cell of a session, whether the session exists or not. While it runs the cell
   * stays the only one of its session.
   *
   * Errors: DataLossError, and those of `run`.
   */
  async use<T>(name: SessionName, run: (cell: SessionCell) => T | Promise<T>): Promise<T> {
    const key = keyOf(name);
    const entry = this.#entry(key, name);
    entry.users++;
    try {
      return await run(entry.loaded ?? (await entry.cell));
    } catch (error) {
      // Only the one that could not be loaded: another may stand in its place by now.
      if (entry.loaded === undefined && this.#entries.get(key) === entry) this.#forget(key, entry);
      throw error;
    } finally {
      entry.users--;
    }
  }

  /**
   * What a reader may see of a session found in the store, where a commit under way may show
   * before it is acknowledged. Undefined: not yet, or no more, there.
   */
  durable(stored: StoredSession): StoredSession | undefined {
    const cell = this.#entries.get(keyOf(stored.session))?.loaded;
    return cell === undefined || cell.isIdle ? stored : cell.durable;
  }

  #acknowledge(
    name: SessionName,
    before: StoredSession | undefined,
    after: StoredSession | undefined,
  ): void {
    const entry = this.#entries.get(keyOf(name));
    entry?.loaded?.acknowledge(after);
    if (entry !== undefined && after?.session !== before?.session) this.#weigh(entry, after);
  }

  #entry(key: string, name: SessionName): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#hits++;
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known;
    }
    this.#misses++;
    this.#evict();
    const entry: Entry = { cell: this.#load(name), users: 0, bytes: 0 };
    entry.cell.then((cell) => {
      entry.loaded = cell;
      this.#weigh(entry, cell.latest);
    }, ignore);
    this.#entries.set(key, entry);
    return entry;
  }

  async #load({ namespace, sessionId }: SessionName): Promise<SessionCell> {
    // Of what the caller handed over nothing but the name: the next session may get it.
    const name = { namespace, sessionId };
    const stored = await this.#store.getSession(name);
    return new SessionCell({
      store: this.#store,
      clock: this.#clock,
      contributions: this.#contributions,
      name,
      stored,
    });
  }

  #weigh(entry: Entry, stored: StoredSession | undefined): void {
    const bytes = stored === undefined ? 0 : toBinary(SessionSchema, stored.session).length;
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
  }

  #forget(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#weigh(entry, undefined);
  }

  #evict(): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size < this.#limit && this.#bytes < this.#limitBytes) return;
      if (entry.users === 0 && entry.loaded?.isIdle) this.#forget(key, entry);
    }
  }
}

function ignore(): void {}

/** A session's name as one text, the same for no other. */
export function keyOf({ namespace, sessionId }: SessionName): string {
  return `${namespace}\0${sessionId}`;
}

/** Errors: RevisionConflictError when the caller expected another revision. */
export function checkRevision(cell: SessionCell, expected: number | undefined): void {
  const actual = cell.latest?.head.revision ?? 0;
  if (expected !== undefined && expected !== actual) {
    throw new RevisionConflictError({ sessionId: cell.name.sessionId, expected, actual });
  }
}
