import { Durability, type Event } from "@sessiond/contract";
import type {
  ConsumerRecord,
  NamespaceLogEntry,
  RequestRecord,
  SessionHead,
  StateRecord,
} from "@sessiond/contract/store";
import { DataLossError, ShuttingDownError, WritesRefusedError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { InFlight, isStaging, type StoredPlaces } from "../in-flight.ts";
import { derive } from "../indexes.ts";
import type { SessionName } from "../keys.ts";
import { CommitListeners } from "../listeners.ts";
import { RollupBook } from "../rollup-book.ts";
import type {
  Capabilities,
  Change,
  Committed,
  ConsumerName,
  Deadline,
  EventRange,
  RecordRange,
  RollupChange,
  SessionQuery,
  StateScope,
  Store,
  StoredRecord,
  StoredSession,
  StoreSize,
} from "../store.ts";
import { Committer, type Companion, type WriteObserver } from "./committer.ts";
import { DEFAULT_MAP_BYTES, type Environment, openEnvironment } from "./environment.ts";
import { isDriverError } from "./errors.ts";
import { Maintenance } from "./maintenance.ts";
import { NamespaceOffsets } from "./offsets.ts";
import { sizeOf } from "./pages.ts";
import { Reads } from "./reads.ts";
import { costOf, type DiskSpace, diskSpace, SpaceGuard, spaceOf } from "./space-guard.ts";
import type { Write } from "./tables.ts";
import { countedWrite, rollupWrites, writesOf } from "./writes.ts";

export interface LmdbStoreOptions {
  /** Folder of the store; made when it is missing. One process at a time may have it open. */
  readonly path: string;
  /** Largest size of the data file. Default 128 GiB: address space only, no disk ahead of need. */
  readonly mapSizeBytes?: number;
  /** Default: `limits.commitTimeoutMs`. */
  readonly commitTimeoutMs?: number;
  /** The folder may be a backup, which is looked at. Default false. */
  readonly isBackup?: boolean;
  /** Wall clock in milliseconds, for the create time of a new store. */
  readonly now?: () => number;
  /** Measures the disk. Default: asks the file system. */
  readonly diskSpace?: DiskSpace;
  /** Hears of damaged sessions that are left out of a list. */
  readonly onDamage?: (error: DataLossError) => void;
  /** Hears how long writes take. Absent: nobody does. */
  readonly observer?: WriteObserver;
}

const READ_ONLY = "the folder is on a read-only file system; make it writable and start again";

/**
 * Keeps sessions in a folder on the local disk, with LMDB.
 *
 * A commit is acknowledged when it was synced to disk; commits under way at the same time share a
 * sync. Reads see what is on disk.
 */
export class LmdbStore implements Store {
  readonly capabilities: Capabilities;
  readonly #environment: Environment;
  readonly #committer: Committer;
  readonly #guard: SpaceGuard;
  readonly #reads: Reads;
  readonly #maintenance: Maintenance;
  readonly #offsets: NamespaceOffsets;
  readonly #rollups: RollupBook;
  readonly #inFlight = new InFlight();
  readonly #places: StoredPlaces = {
    place: (key) => this.#read((reads) => reads.place(key)),
    isTaken: (name) => this.#read((reads) => reads.isTaken(name)),
  };
  readonly #listeners = new CommitListeners();
  #copies: Promise<unknown> = Promise.resolve();
  /** Logs that are staged by this process: garbage that must stay. */
  readonly #staging = new Set<string>();
  #closed: Promise<void> | undefined;

  private constructor(options: {
    environment: Environment;
    commitTimeoutMs: number;
    diskSpace: DiskSpace;
    onDamage: (error: DataLossError) => void;
    observer: WriteObserver | undefined;
  }) {
    const { environment, commitTimeoutMs } = options;
    const { header, tables } = environment;
    this.#environment = environment;
    this.#committer = new Committer({
      write: (writes) => environment.write(writes),
      timeoutMs: commitTimeoutMs,
      companion: () => this.#changedRollups(),
      observer: options.observer,
    });
    this.#guard = new SpaceGuard(() => spaceOf(environment, options.diskSpace));
    this.#reads = new Reads(tables, options.onDamage);
    this.#maintenance = new Maintenance(tables);
    this.#offsets = new NamespaceOffsets({
      log: tables.log,
      maxNamespaces: limits.cachedSessions,
    });
    this.#rollups = new RollupBook({
      read: (key) => this.#read((reads) => reads.rollup(key)),
      limit: limits.cachedRollups,
    });
    this.capabilities = {
      engine: "lmdb",
      storeId: header.storeId,
      schemaVersion: header.schemaVersion,
      durability: Durability.SYNCED,
    };
  }

  /**
   * Opens the store of a folder. The caller closes it.
   *
   * On a full disk it opens and refuses writes; on a read-only one it refuses deletes, too.
   *
   * Errors: StartError when the folder is in use, cannot be written, or holds what this version
   * cannot read.
   */
  static async open(options: LmdbStoreOptions): Promise<LmdbStore> {
    const environment = await openEnvironment({
      path: options.path,
      mapSizeBytes: options.mapSizeBytes ?? DEFAULT_MAP_BYTES,
      nowMs: (options.now ?? Date.now)(),
      isBackup: options.isBackup ?? false,
    });
    return new LmdbStore({
      environment,
      commitTimeoutMs: options.commitTimeoutMs ?? limits.commitTimeoutMs,
      diskSpace: options.diskSpace ?? diskSpace,
      onDamage: options.onDamage ?? (() => {}),
      observer: options.observer,
    });
  }

  // Asynchronous so that every error is a rejection; up to the first await it runs in the call,
  // which is what gives commits their order.
  async commit(change: Change): Promise<Committed> {
    this.#assertOpen();
    this.#assertWritable();
    this.#inFlight.check(change, this.#places);
    const { namespace } = change.key;
    if (isStaging(change) && change.events.length === 0) return this.#giveUp(change);
    const derived = derive(change);
    const entries = derived.logEntries.length;
    const first = entries > 0 ? this.#offsets.next(namespace) : 0;
    const offset = Math.max(0, first + entries - 1);
    const writes = writesOf(change, derived, first);
    const committed: Committed = { change, offset };
    const kind = change.after === undefined && !isStaging(change) ? "relief" : "write";
    const done = this.#write(writes, kind, () => {
      this.#inFlight.end(change);
      if (entries > 0) this.#offsets.settle(namespace, offset);
      if (isStaging(change)) return;
      if (change.staged !== undefined) this.#staging.delete(change.key.uid);
      if (change.deleteTimeMs !== undefined) this.#maintenance.noteDeletion();
      this.#listeners.notify(committed);
    });
    if (isStaging(change)) this.#staging.add(change.key.uid);
    if (entries > 0) this.#offsets.take(namespace, entries);
    if (change.rollups !== undefined) this.#rollups.add(change.rollups);
    this.#inFlight.begin(change);
    await done;
    return committed;
  }

  /** What was staged is garbage in the store as it is: housekeeping only has to be let at it. */
  #giveUp(change: Change): Committed {
    this.#staging.delete(change.key.uid);
    return { change, offset: 0 };
  }

  onCommit(listener: (committed: Committed) => void): () => void {
    return this.#listeners.add(listener);
  }

  onFailure(listener: (error: Error) => void): () => void {
    return this.#committer.onFailure(listener);
  }

  async getSession(name: SessionName): Promise<StoredSession | undefined> {
    return this.#read((reads) => reads.session(name));
  }

  async readEvents(range: EventRange): Promise<Event[]> {
    return this.#read((reads) => reads.events(range));
  }

  async checkpoint(args: { uid: string; atMost: number }): Promise<SessionHead | undefined> {
    return this.#read((reads) => reads.checkpoint(args));
  }

  async listSessions(query: SessionQuery): Promise<StoredSession[]> {
    return this.#read((reads) => reads.sessions(query));
  }

  async readNamespaceLog(args: {
    namespace: string;
    afterOffset: number;
    limit: number;
  }): Promise<{ offset: number; entry: NamespaceLogEntry }[]> {
    return this.#read((reads) => reads.log(args));
  }

  namespaceOffset(namespace: string): number {
    this.#assertOpen();
    return this.#offsets.durable(namespace);
  }

  namespaceGoneThrough(namespace: string): number {
    return this.#read((reads) => reads.goneThrough(namespace));
  }

  async getRequest(key: Uint8Array): Promise<RequestRecord | undefined> {
    return this.#read((reads) => reads.request(key));
  }

  async getState(scope: StateScope): Promise<StateRecord | undefined> {
    return this.#read((reads) => reads.state(scope));
  }

  async getConsumer(name: ConsumerName): Promise<ConsumerRecord | undefined> {
    return this.#read((reads) => reads.consumer(name));
  }

  async listConsumers(args: {
    namespace: string;
    after?: string;
    limit: number;
  }): Promise<{ name: string; record: ConsumerRecord }[]> {
    return this.#read((reads) => reads.consumers(args));
  }

  async listNamespaces(args: { after?: string; limit: number }): Promise<string[]> {
    return this.#read((reads) => reads.namespaces(args));
  }

  uncounted(): Uint8Array | undefined {
    return this.#read((reads) => reads.uncounted());
  }

  async countStored(args: {
    readonly rollups: readonly RollupChange[];
    readonly through?: Uint8Array;
  }): Promise<void> {
    this.#assertOpen();
    this.#assertWritable();
    const done = this.#write([countedWrite(args.through)], "relief", () => {});
    for (const change of args.rollups) this.#rollups.add(change);
    await done;
  }

  async dueDeadlines(args: { nowMs: number; limit: number }): Promise<Deadline[]> {
    return this.#read((reads) => reads.deadlines(args));
  }

  async maintain(args: { nowMs: number; limit: number }): Promise<boolean> {
    this.#assertOpen();
    if (this.#environment.readOnly) return false;
    const { writes, more } = this.#maintenance.find(args, this.#staging);
    if (writes.length > 0) await this.#write(writes, "relief", () => {});
    return more;
  }

  async records<const Ranges extends readonly RecordRange[]>(
    ...ranges: Ranges
  ): Promise<{ readonly [index in keyof Ranges]: readonly StoredRecord[] }> {
    this.#assertOpen();
    if (this.#committer.failure !== undefined) throw this.#committer.failure;
    try {
      // Reads of one turn of the event loop share the driver's snapshot.
      return ranges.map((range) => this.#reads.records(range)) as {
        [index in keyof Ranges]: StoredRecord[];
      };
    } catch (error) {
      if (!isDriverError(error)) throw error;
      // A damaged page, unless it is a failed commit, which is then about to be rejected.
      await new Promise((resolve) => setImmediate(resolve));
      throw (
        this.#committer.failure ?? new DataLossError({ record: "a page of the file", cause: error })
      );
    }
  }

  async size(): Promise<StoreSize> {
    this.#assertOpen();
    return sizeOf(this.#environment);
  }

  async copyTo(folder: string): Promise<void> {
    this.#assertOpen();
    const copy = this.#environment.copyTo(folder);
    // The driver's thread reads the file until then.
    this.#copies = Promise.allSettled([this.#copies, copy]);
    await copy;
  }

  oldestCommitMs(): number {
    return this.#committer.oldestMs;
  }

  writesRefused(): string | undefined {
    this.#assertOpen();
    return this.#environment.readOnly ? READ_ONLY : this.#guard.refused();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Reads. When a commit has failed in the driver, reads may notice before the commit is rejected;
   * it is the same failure.
   *
   * Errors: DataLossError, CommitUnknownError.
   */
  #read<T>(read: (reads: Reads) => T): T {
    this.#assertOpen();
    if (this.#committer.failure !== undefined) throw this.#committer.failure;
    try {
      return read(this.#reads);
    } catch (error) {
      throw isDriverError(error) ? this.#committer.fail(error) : error;
    }
  }

  /** Errors: WritesRefusedError, thrown in the call; CommitUnknownError. */
  #write(writes: readonly Write[], kind: "write" | "relief", onDurable: () => void): Promise<void> {
    const cost = costOf(writes);
    this.#guard.assertRoom(cost, kind);
    this.#guard.begin(cost);
    return this.#committer.submit(writes, () => {
      this.#guard.end(cost);
      onDurable();
    });
  }

  /** Each record once for all commits that are handed over together. */
  #changedRollups(): Companion | undefined {
    const changed = this.#rollups.take();
    if (changed === undefined) return undefined;
    const writes = rollupWrites(changed.writes);
    const cost = costOf(writes);
    this.#guard.begin(cost);
    return {
      writes,
      onDurable: () => {
        this.#guard.end(cost);
        changed.settle();
      },
    };
  }

  async #close(): Promise<void> {
    await this.#committer.idle();
    await this.#copies;
    // After a failure the driver may never let go: the end of the process does it instead.
    if (this.#committer.failure === undefined) await this.#environment.close();
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new ShuttingDownError();
  }

  #assertWritable(): void {
    if (this.#committer.failure !== undefined) throw this.#committer.failure;
    if (this.#environment.readOnly) throw new WritesRefusedError(READ_ONLY);
  }
}
