import { Durability, type Event } from "@sessiond/contract";
import type {
  ConsumerRecord,
  NamespaceLogEntry,
  RequestRecord,
  SessionHead,
  StateRecord,
} from "@sessiond/contract/store";
import { NotSupportedError, ShuttingDownError } from "../../errors.ts";
import { InFlight, isStaging } from "../in-flight.ts";
import type { SessionName } from "../keys.ts";
import { CommitListeners } from "../listeners.ts";
import { newStoreHeader } from "../schema.ts";
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
import { CommitQueue } from "./commit-queue.ts";
import { effectsOf } from "./effects.ts";
import { MemoryTables } from "./tables.ts";

/**
 * Keeps sessions in memory; they are gone with the process.
 *
 * Holds everything in binary form, as an engine with a disk does: it shares no object with its
 * callers, and what does not survive encoding does not survive here either. It has no bound of its
 * own beside those of its callers.
 */
export class MemoryStore implements Store {
  readonly capabilities: Capabilities;
  readonly #tables = new MemoryTables();
  readonly #inFlight = new InFlight();
  readonly #listeners = new CommitListeners();
  readonly #queue = new CommitQueue();
  #closed: Promise<void> | undefined;

  private constructor(capabilities: Capabilities) {
    this.capabilities = capabilities;
  }

  /** Makes an empty store. `storeId` defaults to 16 random bytes. The caller closes it. */
  static async open(options: { storeId?: Uint8Array } = {}): Promise<MemoryStore> {
    const { storeId, schemaVersion } = newStoreHeader({ nowMs: Date.now(), ...options });
    return new MemoryStore({
      engine: "memory",
      storeId,
      schemaVersion,
      durability: Durability.NOT_DURABLE,
    });
  }

  // Asynchronous so that every error is a rejection; up to the first await it runs in the call,
  // which is what gives commits their order.
  async commit(change: Change): Promise<Committed> {
    this.#assertOpen();
    this.#inFlight.check(change, this.#tables);
    const effects = effectsOf(change);
    this.#inFlight.begin(change);
    return this.#queue.add(() => {
      const committed: Committed = { change, offset: this.#tables.apply(effects) };
      this.#inFlight.end(change);
      if (!isStaging(change)) this.#listeners.notify(committed);
      return committed;
    });
  }

  onCommit(listener: (committed: Committed) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** Memory does not fail: the listener is never called. */
  onFailure(): () => void {
    return () => {};
  }

  async getSession(name: SessionName): Promise<StoredSession | undefined> {
    this.#assertOpen();
    return this.#tables.session(name);
  }

  async readEvents(range: EventRange): Promise<Event[]> {
    this.#assertOpen();
    return this.#tables.events(range);
  }

  async checkpoint(args: { uid: string; atMost: number }): Promise<SessionHead | undefined> {
    this.#assertOpen();
    return this.#tables.checkpoint(args);
  }

  async listSessions(query: SessionQuery): Promise<StoredSession[]> {
    this.#assertOpen();
    return this.#tables.sessions(query);
  }

  async readNamespaceLog(args: {
    namespace: string;
    afterOffset: number;
    limit: number;
  }): Promise<{ offset: number; entry: NamespaceLogEntry }[]> {
    this.#assertOpen();
    return this.#tables.log(args);
  }

  namespaceOffset(namespace: string): number {
    this.#assertOpen();
    return this.#tables.offset(namespace);
  }

  namespaceGoneThrough(namespace: string): number {
    this.#assertOpen();
    return this.#tables.goneThrough(namespace);
  }

  async getRequest(key: Uint8Array): Promise<RequestRecord | undefined> {
    this.#assertOpen();
    return this.#tables.request(key);
  }

  async getState(scope: StateScope): Promise<StateRecord | undefined> {
    this.#assertOpen();
    return this.#tables.state(scope);
  }

  async getConsumer(name: ConsumerName): Promise<ConsumerRecord | undefined> {
    this.#assertOpen();
    return this.#tables.consumer(name);
  }

  async listConsumers(args: {
    namespace: string;
    after?: string;
    limit: number;
  }): Promise<{ name: string; record: ConsumerRecord }[]> {
    this.#assertOpen();
    return this.#tables.consumers(args);
  }

  async listNamespaces(args: { after?: string; limit: number }): Promise<string[]> {
    this.#assertOpen();
    return this.#tables.namespaces(args);
  }

  /** There is no memory of before. */
  uncounted(): undefined {
    return undefined;
  }

  async countStored({ rollups }: { rollups: readonly RollupChange[] }): Promise<void> {
    this.#assertOpen();
    await this.#queue.add(() => {
      for (const change of rollups) this.#tables.count(change);
    });
  }

  async dueDeadlines(args: { nowMs: number; limit: number }): Promise<Deadline[]> {
    this.#assertOpen();
    return this.#tables.deadlines(args);
  }

  async maintain(args: { nowMs: number; limit: number }): Promise<boolean> {
    this.#assertOpen();
    return this.#queue.add(() => this.#tables.maintain(args));
  }

  async records<const Ranges extends readonly RecordRange[]>(
    ...ranges: Ranges
  ): Promise<{ readonly [index in keyof Ranges]: readonly StoredRecord[] }> {
    this.#assertOpen();
    return ranges.map((range) => this.#tables.records(range)) as {
      [index in keyof Ranges]: StoredRecord[];
    };
  }

  async size(): Promise<StoreSize> {
    this.#assertOpen();
    return this.#tables.size();
  }

  async copyTo(): Promise<void> {
    throw new NotSupportedError(
      "the memory store has no file to copy; start the server with --store lmdb to keep and back up sessions",
    );
  }

  oldestCommitMs(): number {
    return 0;
  }

  writesRefused(): string | undefined {
    this.#assertOpen();
    return undefined;
  }

  close(): Promise<void> {
    this.#closed ??= this.#queue.idle();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new ShuttingDownError();
  }
}
