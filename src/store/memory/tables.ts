import { fromBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema, SessionSchema } from "@sessiond/contract";
import {
  type ConsumerRecord,
  ConsumerRecordSchema,
  type NamespaceLogEntry,
  type RequestRecord,
  RequestRecordSchema,
  type SessionHead,
  SessionHeadSchema,
  type StateRecord,
  StateRecordSchema,
} from "@sessiond/contract/store";
import { withSize } from "../encoded.ts";
import type { SessionPlace } from "../in-flight.ts";
import {
  consumerKey,
  indexKey,
  indexPrefix,
  namespacePrefix,
  parseConsumerKey,
  parseDeadlineKey,
  parseIndexKey,
  parseReferenceKey,
  prefixEnd,
  type SessionName,
  stateKey,
  uidText,
} from "../keys.ts";
import { LogSweep } from "../log-sweep.ts";
import { RollupBook } from "../rollup-book.ts";
import { RollupSweep } from "../rollup-sweep.ts";
import {
  type ConsumerName,
  type Deadline,
  type EventRange,
  RECORD_TABLES,
  type RecordRange,
  type RollupChange,
  type SessionQuery,
  type StateScope,
  type StoredRecord,
  type StoredSession,
  type StoreSize,
} from "../store.ts";
import type { Effects, EventBytes, KeyedRecord, SessionBytes } from "./effects.ts";
import { NamespaceLogs } from "./namespace-logs.ts";
import { OrderedKeys } from "./ordered-keys.ts";
import { page, record } from "./record-pages.ts";
import { RecordViews } from "./record-views.ts";

/** The events and checkpoints that are kept under one uid. */
export interface MemoryLog {
  /** Revision of the first event; those after it follow without a hole. */
  first: number;
  readonly events: EventBytes[];
  /** Heads by their revisions, in rising order. */
  readonly checkpoints: Map<number, Uint8Array>;
  /** Its session is there; otherwise forks may need it. */
  isOwned: boolean;
}

/** What is in a memory store: applies effects, and reads like any engine. */
export class MemoryTables {
  /** Namespace → session id → session. */
  readonly #sessions = new Map<string, Map<string, SessionBytes>>();
  /** Uid → the same sessions. */
  readonly #heads = new Map<string, SessionBytes>();
  readonly #logs = new Map<string, MemoryLog>();
  /** Uids of the sessions that are there. */
  readonly #uids = new Set<string>();
  readonly #namespaceLogs = new NamespaceLogs();
  readonly #logSweep = new LogSweep({
    entries: (args) => this.#namespaceLogs.entries(args),
    newestOffset: (namespace) => this.#namespaceLogs.newestOffset(namespace),
    entryCount: () => this.#namespaceLogs.entryCount(),
    hasSession: (uid) => this.#uids.has(uid),
  });
  /** Hexadecimal request key → record. */
  readonly #requests = new Map<string, { record: Uint8Array; expireTimeMs: number }>();
  /** Hexadecimal state key → record. */
  readonly #states = new Map<string, Uint8Array>();
  /** Hexadecimal consumer key → record. */
  readonly #consumers = new Map<string, Uint8Array>();
  /** Keys of the rollups in order, and hexadecimal key → record. */
  readonly #rollupKeys = new OrderedKeys();
  readonly #rollups = new Map<string, Uint8Array>();
  readonly #rollupBook = new RollupBook({
    read: (key) => this.#rollups.get(hex(key)),
    limit: 0,
  });
  readonly #rollupSweep = new RollupSweep((key) => {
    for (const found of this.#rollupKeys.from(key)) return found;
    return undefined;
  });
  readonly #views = new RecordViews({
    sessions: this.#sessions,
    heads: this.#heads,
    logs: this.#logs,
    namespaceLogs: this.#namespaceLogs,
    requests: this.#requests,
    states: this.#states,
    consumers: this.#consumers,
  });
  readonly #indexes = new OrderedKeys();
  readonly #deadlines = new OrderedKeys();
  readonly #references = new OrderedKeys();

  /** Applies a change; gives its last offset in the log of the namespace, 0 for none. */
  apply(effects: Effects): number {
    if (effects.isStaging) return this.#stage(effects);
    if (effects.rollups !== undefined) this.count(effects.rollups);
    const { key, newName = key.sessionId, after, events, request } = effects;
    const sessions = getOrAdd(this.#sessions, key.namespace, () => new Map());
    if (after === undefined) {
      sessions.delete(key.sessionId);
      this.#heads.delete(key.uid);
      this.#log(key.uid).isOwned = false;
      if (this.#uids.delete(key.uid)) this.#logSweep.noteDeletion();
    } else {
      this.#uids.add(key.uid);
      if (newName !== key.sessionId) sessions.delete(key.sessionId);
      sessions.set(newName, after);
      this.#heads.set(key.uid, after);
      const log = this.#log(key.uid);
      if (log.events.length === 0) log.first = effects.firstRevision;
      log.events.push(...events);
      for (const { revision, head } of effects.checkpoints) log.checkpoints.set(revision, head);
      if (effects.isCheckpoint) log.checkpoints.set(after.revision, after.head);
    }
    update(this.#references, effects.references);
    for (const uid of effects.released) this.#free(uid);
    update(this.#indexes, effects.indexes);
    update(this.#deadlines, effects.deadlines);
    if (request !== undefined) {
      this.#requests.set(hex(request.key), request);
    }
    putOrRemove(this.#states, effects.states);
    putOrRemove(this.#consumers, effects.consumers);
    let offset = 0;
    for (const entry of effects.logEntries) offset = this.#namespaceLogs.add(key.namespace, entry);
    return offset;
  }

  /** Adds to rollups. */
  count(change: RollupChange): void {
    this.#rollupBook.add(change);
    const changed = this.#rollupBook.take();
    for (const { key, content } of changed?.writes ?? []) {
      if (content === undefined) this.#removeRollup(key);
      else {
        this.#rollupKeys.add(key);
        this.#rollups.set(hex(key), content);
      }
    }
    changed?.settle();
  }

  #removeRollup(key: Uint8Array): void {
    this.#rollupKeys.delete(key);
    this.#rollups.delete(hex(key));
  }

  #stage({ key: { uid }, events, checkpoints }: Effects): number {
    if (events.length === 0) {
      this.#logs.delete(uid);
      return 0;
    }
    const log = this.#log(uid);
    log.events.push(...events);
    for (const { revision, head } of checkpoints) log.checkpoints.set(revision, head);
    return 0;
  }

  #log(uid: string): MemoryLog {
    return getOrAdd(this.#logs, uid, () => ({
      first: 1,
      events: [],
      checkpoints: new Map(),
      isOwned: true,
    }));
  }

  /** Removes what no session needs of a log. */
  #free(uid: Uint8Array): void {
    const log = this.#log(uidText(uid));
    if (log.isOwned) return;
    const range = { start: uid, end: prefixEnd(uid), reverse: true };
    const [newest] = this.#references.range(range);
    const needed = newest === undefined ? 0 : parseReferenceKey(newest).lastRevision;
    if (needed < log.first) {
      this.#logs.delete(uidText(uid));
      return;
    }
    log.events.length = Math.min(log.events.length, needed - log.first + 1);
    for (const revision of log.checkpoints.keys()) {
      if (revision > needed) log.checkpoints.delete(revision);
    }
  }

  checkpoint({ uid, atMost }: { uid: string; atMost: number }): SessionHead | undefined {
    const { checkpoints = new Map<number, Uint8Array>() } = this.#logs.get(uid) ?? {};
    const newest = Math.max(0, ...[...checkpoints.keys()].filter((at) => at <= atMost));
    const head = checkpoints.get(newest);
    return head && fromBinary(SessionHeadSchema, Uint8Array.from(head));
  }

  place({ namespace, sessionId }: SessionName): SessionPlace | undefined {
    return this.#sessions.get(namespace)?.get(sessionId);
  }

  isTaken(name: SessionName): boolean {
    return this.place(name) !== undefined;
  }

  session({ namespace, sessionId }: SessionName): StoredSession | undefined {
    const bytes = this.#sessions.get(namespace)?.get(sessionId);
    return bytes && stored(bytes);
  }

  events(range: EventRange): Event[] {
    const { uid, first, last, reverse = false, wholeBatches = false } = range;
    const { maxEvents, maxBytes } = range;
    const log = this.#logs.get(uid);
    const begin = log?.first ?? 1;
    const newest = Math.min(last, begin + (log?.events.length ?? 0) - 1);
    const oldest = Math.max(first, begin);
    const events: Event[] = [];
    let bytes = 0;
    let insideBatch = false;
    for (let i = 0; i <= newest - oldest; i++) {
      const found = log?.events[(reverse ? newest - i : oldest + i) - begin];
      if (found === undefined) break;
      bytes += found.content.length;
      const isFull = events.length >= maxEvents || (events.length > 0 && bytes > maxBytes);
      if (isFull && !insideBatch) break;
      const event = fromBinary(EventSchema, Uint8Array.from(found.content));
      events.push(withSize(event, found.content.length));
      insideBatch = wholeBatches && found.continues;
    }
    return events;
  }

  sessions({ namespace, index, reverse = false, after, limit }: SessionQuery): StoredSession[] {
    const prefix = indexPrefix(namespace, index);
    const from = after && indexKey({ namespace, index, position: after });
    const found: StoredSession[] = [];
    for (const key of this.#indexes.range({
      // No key lies between one and the same with a zero byte behind.
      start: from && !reverse ? Buffer.concat([from, Buffer.alloc(1)]) : prefix,
      end: from && reverse ? from : prefixEnd(prefix),
      reverse,
    })) {
      if (found.length >= limit) break;
      const { sessionId } = parseIndexKey(key).position;
      const session = this.session({ namespace, sessionId });
      if (session !== undefined) found.push(session);
    }
    return found;
  }

  log(args: {
    namespace: string;
    afterOffset: number;
    limit: number;
  }): { offset: number; entry: NamespaceLogEntry }[] {
    const { namespace, afterOffset: offset, limit } = args;
    return this.#namespaceLogs.after({ namespace, offset }, limit);
  }

  offset(namespace: string): number {
    return this.#namespaceLogs.newestOffset(namespace);
  }

  goneThrough(namespace: string): number {
    return this.#namespaceLogs.goneThrough(namespace);
  }

  request(key: Uint8Array): RequestRecord | undefined {
    const found = this.#requests.get(hex(key));
    return found && fromBinary(RequestRecordSchema, Uint8Array.from(found.record));
  }

  state(scope: StateScope): StateRecord | undefined {
    const found = this.#states.get(hex(stateKey(scope)));
    return found && fromBinary(StateRecordSchema, Uint8Array.from(found));
  }

  consumer(name: ConsumerName): ConsumerRecord | undefined {
    const found = this.#consumers.get(hex(consumerKey(name)));
    return found && fromBinary(ConsumerRecordSchema, Uint8Array.from(found));
  }

  consumers(args: { namespace: string; after?: string; limit: number }) {
    const { namespace, after, limit } = args;
    const prefix = namespacePrefix(namespace);
    const behind = after === undefined ? {} : { after: consumerKey({ namespace, name: after }) };
    const found = this.records({ table: "consumers", prefix, ...behind, limit });
    return found.map(({ key }) => {
      const { name } = parseConsumerKey(key);
      return { name, record: this.consumer({ namespace, name }) as ConsumerRecord };
    });
  }

  namespaces({ after, limit }: { after?: string; limit: number }): string[] {
    const inOrder = (a: string, b: string) =>
      Buffer.compare(namespacePrefix(a), namespacePrefix(b));
    const behind = [...this.#namespaceLogs.namespaces()].filter(
      (namespace) => after === undefined || inOrder(namespace, after) > 0,
    );
    return behind.sort(inOrder).slice(0, limit);
  }

  deadlines({ nowMs, limit }: { nowMs: number; limit: number }): Deadline[] {
    const due: Deadline[] = [];
    for (const key of this.#deadlines.all()) {
      const deadline = parseDeadlineKey(key);
      if (due.length >= limit || deadline.dueMs > nowMs) break;
      due.push(deadline);
    }
    return due;
  }

  /** A piece of housekeeping; true when there may be more. */
  maintain(piece: { nowMs: number; limit: number }): boolean {
    const swept = this.#logSweep.find(piece);
    if (swept !== undefined) {
      this.#namespaceLogs.remove(swept);
      return true;
    }
    const old = this.#rollupSweep.find(piece);
    for (const key of old.keys) this.#removeRollup(key);
    return old.more || this.#removeExpired(piece);
  }

  /** See `Store.records`. */
  records(range: RecordRange): StoredRecord[] {
    return page(this.#inOrder(range), range);
  }

  size(): StoreSize {
    const tables = RECORD_TABLES.map((name) => {
      let entries = 0;
      let bytes = 0;
      for (const { key, content } of this.#inOrder({ table: name, limit: Infinity })) {
        entries += 1;
        bytes += key.length + (content instanceof Uint8Array ? content.length : 0);
      }
      return { name, entries, bytes };
    });
    return { fileBytes: 0, freeBytes: 0, maxBytes: 0, readers: 0, maxReaders: 0, tables };
  }

  #inOrder(range: RecordRange): Iterable<StoredRecord> {
    if (range.table === "indexes") return keysOf(this.#indexes, range);
    if (range.table === "deadlines") return keysOf(this.#deadlines, range);
    if (range.table === "references") return keysOf(this.#references, range);
    if (range.table === "rollups") return this.#rollupRecords(range);
    return this.#views.records(range);
  }

  *#rollupRecords(range: RecordRange): Generator<StoredRecord> {
    for (const { key } of keysOf(this.#rollupKeys, range)) {
      yield record(key, this.#rollups.get(hex(key)) ?? Buffer.alloc(0));
    }
  }

  /** Removes up to `limit` requests that expired; true when there may be more. */
  #removeExpired({ nowMs, limit }: { nowMs: number; limit: number }): boolean {
    let removed = 0;
    for (const [key, { expireTimeMs }] of this.#requests) {
      if (removed >= limit) return true;
      if (expireTimeMs >= nowMs) continue;
      this.#requests.delete(key);
      removed++;
    }
    return false;
  }
}

function* keysOf(keys: OrderedKeys, { prefix, after }: RecordRange): Generator<StoredRecord> {
  const start = after ? Buffer.concat([after, Buffer.alloc(1)]) : (prefix ?? Buffer.alloc(0));
  for (const key of keys.from(start)) yield record(key, Buffer.alloc(0));
}

function stored({ session, head }: SessionBytes): StoredSession {
  // Copies, because a message hands out parts of the bytes it was decoded from.
  return {
    session: fromBinary(SessionSchema, Uint8Array.from(session)),
    head: fromBinary(SessionHeadSchema, Uint8Array.from(head)),
  };
}

function putOrRemove(records: Map<string, Uint8Array>, changes: readonly KeyedRecord[]): void {
  for (const { key, record } of changes) {
    if (record === undefined) records.delete(hex(key));
    else records.set(hex(key), record);
  }
}

function update(keys: OrderedKeys, { puts, removes }: Effects["indexes"]): void {
  for (const key of removes) keys.delete(key);
  for (const key of puts) keys.add(key);
}

function getOrAdd<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}
