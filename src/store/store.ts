import type { Durability, Event, Session } from "@sessiond/contract";
import type {
  ConsumerRecord,
  NamespaceLogEntry,
  RequestRecord,
  SessionHead,
  StateRecord,
} from "@sessiond/contract/store";
import type { DataLossError } from "../errors.ts";
import type { Counters } from "./rollup-counters.ts";

/**
 * A session as stored: the fields that rarely change, and the small record that changes with
 * every event. The two are written apart, so that an append does not rewrite long instructions.
 *
 * `session.headRevision`, `.metrics`, `.lastActivityTime` are not set here; they live in `head`.
 * Both are immutable once handed to a store: a change makes new objects.
 */
export interface StoredSession {
  readonly session: Session;
  readonly head: SessionHead;
}

/** Names a session's place in its namespace and its log. */
export interface SessionKey {
  readonly namespace: string;
  readonly sessionId: string;
  /** UUID in its text form. */
  readonly uid: string;
}

/** Whose state a record holds: one session's, one user's, or a whole namespace's. */
export type StateScope =
  | { readonly of: "session"; readonly namespace: string; readonly uid: string }
  | { readonly of: "user"; readonly namespace: string; readonly userId: string }
  | { readonly of: "app"; readonly namespace: string };

/** What a scope of state is afterwards; without a record it is removed. */
export interface StateChange {
  readonly scope: StateScope;
  readonly record?: StateRecord;
}

/** Names a consumer within a store. */
export interface ConsumerName {
  readonly namespace: string;
  readonly name: string;
}

/** What a consumer is afterwards; without a record it is removed. */
export interface ConsumerChange extends ConsumerName {
  readonly record?: ConsumerRecord;
}

/** Whose sessions a rollup counts: all of a namespace, or those with one agent, user, or label value. */
export interface RollupSeries {
  readonly namespace: string;
  readonly dimension: "all" | "agent" | "user" | "label";
  /** Key of the label; empty for what is no label. */
  readonly label: string;
  /** Id of the agent or the user, or the label's value; empty for all. */
  readonly value: string;
}

/**
 * One record of a rollup. `active` has the sessions that are ACTIVE now, at hour 0; `counters` all other
 * counters of an hour; `sessions` and `steps` the durations of sessions that ended and of tool calls that
 * were answered in it.
 */
export interface RollupKey extends RollupSeries {
  readonly part: "active" | "counters" | "sessions" | "steps";
  /** Hours since 1970. */
  readonly hour: number;
}

/** What happened in one hour. */
export interface HourFacts {
  /** Hours since 1970. */
  readonly hour: number;
  readonly counters: Counters;
  /** Microseconds from start to end, of each session that ended. */
  readonly sessionsUs: readonly number[];
  /** Microseconds that each tool call took which was answered. */
  readonly stepsUs: readonly number[];
}

/** What a change adds to rollups. */
export interface RollupChange {
  /** Each counts all of the facts. */
  readonly series: readonly RollupSeries[];
  /** Each hour once. */
  readonly facts: readonly HourFacts[];
  /** Sessions that become ACTIVE, and such that are no more. */
  readonly active: readonly { readonly series: RollupSeries; readonly by: 1 | -1 }[];
  /** Records to remove, whatever is in them. Absent: none. */
  readonly removes?: readonly RollupKey[];
}

/**
 * All effects of one decision. A plain value, applied whole or not at all.
 *
 * Indexes, deadlines and the namespace log are derived from it, see `indexes.ts`.
 */
export interface Change {
  readonly key: SessionKey;
  /** What the decision was made on; absent: the session must not exist. */
  readonly before?: StoredSession;
  /**
   * What the session is afterwards; absent: it is deleted, with its log. Absent like `before`: there
   * is no session, and only the request's answer is kept and states and consumers are changed. A session
   * that is deleted takes its own state along; those of its user and of the namespace stay.
   *
   * With another `sessionId` than `key` the session is renamed: the name in `key` is free afterwards,
   * the uid and the log stay.
   */
  readonly after?: StoredSession;
  /**
   * Events that follow `before.head.revision`, or what was staged, or of a fork the events it inherits,
   * with their revisions set.
   */
  readonly events: readonly Event[];
  /**
   * Of a fork: events it takes over as copies, between those it inherits and `events`. They are no news
   * to anybody. Absent: none.
   */
  readonly copies?: readonly Event[];
  /** When the session is deleted. Present in a change that deletes one, and in no other. */
  readonly deleteTimeMs?: number;
  /**
   * Where the batches end that were **staged** before: stored as the beginning of the log of
   * `key.uid`, for a session that is not there yet. Not together with `before`.
   *
   * - Without `after` the events are staged as the next batch. No read by name, no list and no notice
   *   shows them, and whatever is staged when the process ends is removed.
   * - With `after`, and no more events, the session is there with all of its log, at once.
   * - With neither, what was staged is given up and removed.
   */
  readonly staged?: readonly number[];
  /** Heads behind events that are staged or copied with them, to keep as checkpoints. Absent: none. */
  readonly checkpoints?: readonly SessionHead[];
  /** The request's answer, so that a retry finds it. Absent: not repeatable. */
  readonly request?: {
    /** 16 bytes, see `requestKey` in `keys.ts`. */
    readonly key: Uint8Array;
    readonly record: RequestRecord;
    readonly expireTimeMs: number;
  };
  /** State to put or remove, each scope once. Absent: none. The store does not compare versions. */
  readonly states?: readonly StateChange[];
  /** Consumers to put or remove, of any namespaces, each once. Absent: none. */
  readonly consumers?: readonly ConsumerChange[];
  /** What is counted of it, for aggregates that outlive the session. Absent: nothing. */
  readonly rollups?: RollupChange;
}

/** What a commit was given. */
export interface Committed {
  readonly change: Change;
  /**
   * Place in the log of the namespace: 1, 2, 3 … in commit order. Every commit that has events or
   * deletes a session takes one; 0 for one that does neither (it only changes fields). A commit of
   * staged batches takes one for each of them, and this is the last.
   */
  readonly offset: number;
}

/** Events of one session between two revisions. */
export interface EventRange {
  readonly uid: string;
  /** First and last revision, both included. */
  readonly first: number;
  readonly last: number;
  /** Newest first. Default false. */
  readonly reverse?: boolean;
  /** Stop after this many events. */
  readonly maxEvents: number;
  /** Stop before exceeding this many stored bytes; at least one event is returned. */
  readonly maxBytes: number;
  /**
   * Stop only where a commit ended, even beyond `maxEvents` and `maxBytes`, so that a reader that
   * began at the end of a commit never sees a part of one. Not together with `reverse`. Default false.
   */
  readonly wholeBatches?: boolean;
}

/** Which list of sessions: all of a namespace, or those with one value. */
export type SessionIndex =
  | { readonly by: "all" }
  | { readonly by: "state"; readonly value: number }
  | { readonly by: "agent"; readonly value: string }
  | { readonly by: "user"; readonly value: string }
  /** Children of the session with this uid. */
  | { readonly by: "parent"; readonly value: string };

/** A place in a list of sessions: behind the session of that time and id. */
export interface SessionPosition {
  readonly createTimeMs: number;
  readonly sessionId: string;
}

export interface SessionQuery {
  readonly namespace: string;
  readonly index: SessionIndex;
  /** Newest first. Default false: oldest first. Order is (create time in ms, session id). */
  readonly reverse?: boolean;
  /** Continue behind this place. */
  readonly after?: SessionPosition;
  readonly limit: number;
  /** Hears of damaged sessions, which are left out. */
  readonly onLeftOut?: (sessionId: string) => void;
}

export interface Deadline {
  readonly dueMs: number;
  readonly key: SessionKey;
}

/** What a store keeps, by table; `lmdb/tables.ts` says what each holds, `keys.ts` lays out the keys. */
export const RECORD_TABLES = [
  "sessions",
  "heads",
  "events",
  "log",
  "indexes",
  "deadlines",
  "requests",
  "garbage",
  "states",
  "references",
  "checkpoints",
  "consumers",
  "rollups",
] as const;

export type RecordTable = (typeof RECORD_TABLES)[number];

/** A piece of a table, in the order of the keys. */
export interface RecordRange {
  readonly table: RecordTable;
  /** Only keys that begin with this. Default: all. */
  readonly prefix?: Uint8Array;
  /** Only keys behind this one. Default: from the first. */
  readonly after?: Uint8Array;
  readonly limit: number;
  /** Stop before exceeding this many stored bytes; at least one record is returned. Default: none. */
  readonly maxBytes?: number;
}

/** A record as it is stored. */
export interface StoredRecord {
  readonly key: Uint8Array;
  /** What it holds, empty for a key alone; an error when it is not what was written. */
  readonly content: Uint8Array | DataLossError;
  /** It is an event, and the next one belongs to the same batch. */
  readonly continues: boolean;
}

/** How much room a store takes. */
export interface StoreSize {
  /** Size of the file; 0 when there is none, as the next two. */
  readonly fileBytes: number;
  /** Of these, bytes that are filled before the file grows. */
  readonly freeBytes: number;
  /** Largest size of the file. */
  readonly maxBytes: number;
  /** Snapshots that readers hold, here and in other processes; 0 when there is no file, as the next. */
  readonly readers: number;
  /** Most there can be. */
  readonly maxReaders: number;
  readonly tables: readonly {
    readonly name: string;
    readonly entries: number;
    readonly bytes: number;
  }[];
}

/** What a store is and guarantees. */
export interface Capabilities {
  readonly engine: "lmdb" | "memory";
  /** 16 bytes that name the data; cursors carry them. */
  readonly storeId: Uint8Array;
  readonly schemaVersion: number;
  readonly durability: Durability;
}

/**
 * Keeps sessions, logs, indexes and request records.
 *
 * One process has one store, and the domain is its only writer. Reads see what is committed; a
 * session with commits under way may be seen a moment before they are acknowledged, so callers
 * that promise «durable before visible» go by the `onCommit` notice, not by what a read finds.
 *
 * Not promised: that reads made one after another see the same state; that the arrays returned are
 * safe to change.
 */
export interface Store {
  readonly capabilities: Capabilities;

  /**
   * Applies a change whole. Resolves once it is as durable as `capabilities` say; commits are
   * applied and acknowledged in the order of the calls, and may overlap.
   *
   * The check against `before` includes commits that were called earlier and are still under way.
   *
   * Errors: RevisionConflictError when the session is not at `before`, or the name it is to have is
   * taken (the caller may read again and decide anew), WritesRefusedError before anything was written (deletes are still taken),
   * CommitUnknownError: the outcome is unknown and every later commit fails the same way; the
   * process must end.
   */
  commit(change: Change): Promise<Committed>;

  /**
   * Calls the listener after every durable commit, in commit order, before `commit` resolves. What is
   * only staged is none.
   */
  onCommit(listener: (committed: Committed) => void): () => void;

  /** Calls the listener once, when a commit has failed with unknown outcome. */
  onFailure(listener: (error: Error) => void): () => void;

  /** Errors: DataLossError. */
  getSession(name: { namespace: string; sessionId: string }): Promise<StoredSession | undefined>;

  /**
   * Events in order; fewer than asked for at a limit or at the end of the log. Only those that are kept
   * under the uid: `log.ts` reads those that a fork inherits. Errors: DataLossError.
   */
  readEvents(range: EventRange): Promise<Event[]>;

  /**
   * The newest head that was kept as a checkpoint under a uid, at or before a revision. A commit keeps
   * the head it leads to when `head.checkpointRevision` is its own revision, and those that it stages.
   * Errors: DataLossError.
   */
  checkpoint(args: { uid: string; atMost: number }): Promise<SessionHead | undefined>;

  /** Sessions in order. A damaged one is left out, and reported in the way of the engine. */
  listSessions(query: SessionQuery): Promise<StoredSession[]>;

  /**
   * Entries behind `afterOffset`, oldest first. Offsets between them that are missing were those of
   * sessions that are deleted; of a session that is there no entry ever goes.
   */
  readNamespaceLog(args: {
    namespace: string;
    afterOffset: number;
    limit: number;
  }): Promise<{ offset: number; entry: NamespaceLogEntry }[]>;

  /** Offset of the newest durable entry in the log of a namespace; 0 for none. */
  namespaceOffset(namespace: string): number;

  /**
   * Offset of the newest deletion that was removed from the log of a namespace; 0 for none. Every
   * deletion before it was, and none behind it. Who reads entries first and then this knows whether
   * the entries lack a deletion.
   *
   * Errors: DataLossError.
   */
  namespaceGoneThrough(namespace: string): number;

  /** Errors: DataLossError. */
  getRequest(key: Uint8Array): Promise<RequestRecord | undefined>;

  /** Reads in the call, so that scopes asked for together are of one moment. Errors: DataLossError. */
  getState(scope: StateScope): Promise<StateRecord | undefined>;

  /** Errors: DataLossError. */
  getConsumer(name: ConsumerName): Promise<ConsumerRecord | undefined>;

  /**
   * Consumers of a namespace behind that name, by name in the order of its bytes. A damaged one is left
   * out, and reported in the way of the engine.
   */
  listConsumers(args: {
    namespace: string;
    /** Default: from the first. */
    after?: string;
    limit: number;
  }): Promise<{ name: string; record: ConsumerRecord }[]>;

  /** Namespaces that have a log, behind that one, in the order of the keys: shorter names come first. */
  listNamespaces(args: { after?: string; limit: number }): Promise<string[]>;
  /**
   * Key of the session in the table of sessions behind which rollups lack what was stored before there were
   * any; empty: they lack all of it. Undefined: they lack nothing. Errors: DataLossError.
   */
  uncounted(): Uint8Array | undefined;

  /**
   * Adds to the rollups what sessions count for that they lack, and notes how far it got. To be called one
   * after another, before anything else is committed. Errors: those of `commit`.
   */
  countStored(args: {
    readonly rollups: readonly RollupChange[];
    /** Key of the last session of these. Absent: all are counted. */
    readonly through?: Uint8Array;
  }): Promise<void>;

  /** Sessions whose stored `expire_time` is at or before `nowMs`, earliest first. */
  dueDeadlines(args: { nowMs: number; limit: number }): Promise<Deadline[]>;

  /**
   * Does a bounded piece of housekeeping: removes the logs of deleted sessions as far as no
   * fork shares them, what the logs of their namespaces have of them (of each the deletion itself only after `limits.deletionNoticeTtlMs`, and
   * the newest entry of a namespace never), request records that expired before `nowMs`, these at
   * the latest a quarter of an hour after they did, and rollups of hours that are older than
   * `limits.rollupTtlMs`, about once an hour. Returns true while there is more to do.
   */
  maintain(args: { nowMs: number; limit: number }): Promise<boolean>;

  /**
   * Reads records as they are stored, for who looks after the whole. All ranges show one moment, and a
   * later call no earlier one. A damaged record is returned as such.
   *
   * Errors: DataLossError when a part of a table cannot be read at all.
   */
  records<const Ranges extends readonly RecordRange[]>(
    ...ranges: Ranges
  ): Promise<{ readonly [index in keyof Ranges]: readonly StoredRecord[] }>;

  /** How much room it takes. */
  size(): Promise<StoreSize>;

  /**
   * Writes a copy of one moment into a folder that exists and is empty, synced to disk: all that was
   * committed before the call, and no part of a commit. Commits go on meanwhile. Resolves when it is
   * there; it cannot be stopped, and `close` waits for it.
   *
   * Errors: NotSupportedError when the engine has no file; any other when the copy failed.
   */
  copyTo(folder: string): Promise<void>;

  /** How long the oldest commit under way has waited for the disk; 0 when there is none. */
  oldestCommitMs(): number;

  /** Why writes are refused now; undefined while they are taken. */
  writesRefused(): string | undefined;

  /** Waits for commits under way, then closes. Calls after it fail. */
  close(): Promise<void>;
}
