import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Event, EventSchema, SessionSchema } from "@sessiond/contract";
import {
  type ConsumerRecord,
  ConsumerRecordSchema,
  type NamespaceLogEntry,
  NamespaceLogEntrySchema,
  type RequestRecord,
  RequestRecordSchema,
  type SessionHead,
  SessionHeadSchema,
  type StateRecord,
  StateRecordSchema,
} from "@sessiond/contract/store";
import { DataLossError } from "../../errors.ts";
import { withSize } from "../encoded.ts";
import type { SessionPlace } from "../in-flight.ts";
import {
  consumerKey,
  eventKey,
  goneKey,
  indexKey,
  indexPrefix,
  logKey,
  namespacePrefix,
  parseConsumerKey,
  parseDeadlineKey,
  parseEventKey,
  parseIndexKey,
  parseLogKey,
  prefixEnd,
  type SessionName,
  sessionKey,
  stateKey,
  uidBytes,
} from "../keys.ts";
import { continuesBatch, decodeRecord, type RecordName } from "../records.ts";
import type {
  ConsumerName,
  Deadline,
  EventRange,
  RecordRange,
  RecordTable,
  SessionKey,
  SessionQuery,
  StateScope,
  StoredRecord,
  StoredSession,
} from "../store.ts";
import { HEADER_KEY, REQUEST_TIME_BYTES, type Tables, UNCOUNTED_KEY } from "./tables.ts";

/**
 * Reads what is on disk. Every method begins and ends its walk before it returns: no read
 * transaction is held open, or the file could not reuse pages.
 */
export class Reads {
  readonly #tables: Tables;
  readonly #onDamage: (error: DataLossError) => void;

  /** `onDamage` hears of damaged records that are left out of a list. */
  constructor(tables: Tables, onDamage: (error: DataLossError) => void) {
    this.#tables = tables;
    this.#onDamage = onDamage;
  }

  session(name: SessionName): StoredSession | undefined {
    const key = sessionKey(name);
    const value = this.#tables.sessions.getBinary(key);
    if (value === undefined) return undefined;
    const record = () => ({ record: `session "${name.sessionId}"` });
    const session = decode(SessionSchema, key, value, record);
    const head = this.#head(session.uid);
    if (head === undefined) throw new DataLossError({ record: "head", sessionUid: session.uid });
    return { session, head };
  }

  /** Where a session is, for the check of a commit on it. */
  place({ namespace, sessionId, uid }: SessionKey): SessionPlace | undefined {
    const head = this.#head(uid);
    // A uid has one name at a time, and who renames a session uses the old one no more.
    if (head !== undefined) return { uid, revision: head.revision };
    const other = this.session({ namespace, sessionId });
    return other && { uid: other.session.uid, revision: other.head.revision };
  }

  isTaken(name: SessionName): boolean {
    return this.#tables.sessions.getBinary(sessionKey(name)) !== undefined;
  }

  events(range: EventRange): Event[] {
    const { uid, first, last, reverse = false, wholeBatches = false } = range;
    const { maxEvents, maxBytes } = range;
    if (first > last || maxEvents < 1) return [];
    const oldest = eventKey({ uid, revision: first });
    const newest = eventKey({ uid, revision: last });
    const events: Event[] = [];
    let bytes = 0;
    let insideBatch = false;
    for (const { key, value } of this.#tables.events.getRange({
      start: reverse ? newest : oldest,
      end: reverse ? oldest : newest,
      inclusiveEnd: true,
      reverse,
      ...(wholeBatches ? {} : { limit: maxEvents }),
    })) {
      const record = () => ({
        record: `event ${parseEventKey(key).revision}`,
        sessionUid: uid,
      });
      const content = decodeRecord(key, value, record);
      bytes += content.length;
      const isFull = events.length >= maxEvents || (events.length > 0 && bytes > maxBytes);
      if (isFull && !insideBatch) break;
      events.push(withSize(message(EventSchema, content, record), content.length));
      insideBatch = wholeBatches && continuesBatch(value);
    }
    if (events.length === 0) this.#assertAlive();
    return events;
  }

  /**
   * Content of a rollup record, as of now and not of the moment that reads of this turn share. Undefined:
   * there is none, or it is damaged and counts no more.
   */
  rollup(key: Buffer): Uint8Array | undefined {
    this.#tables.rollups.resetReadTxn();
    const value = this.#tables.rollups.getBinary(key);
    if (value === undefined) return undefined;
    try {
      return decodeRecord(key, value, () => ({ record: "rollup" }));
    } catch (error) {
      if (!(error instanceof DataLossError)) throw error;
      this.#onDamage(error);
      return undefined;
    }
  }

  uncounted(): Uint8Array | undefined {
    const value = this.#tables.meta.getBinary(UNCOUNTED_KEY);
    return value && decodeRecord(UNCOUNTED_KEY, value, () => ({ record: "uncounted" }));
  }

  checkpoint({ uid, atMost }: { uid: string; atMost: number }): SessionHead | undefined {
    for (const { key, value } of this.#tables.checkpoints.getRange({
      start: eventKey({ uid, revision: atMost }),
      end: eventKey({ uid, revision: 0 }),
      inclusiveEnd: true,
      reverse: true,
      limit: 1,
    })) {
      const { revision } = parseEventKey(key);
      const record = () => ({ record: `checkpoint ${revision}`, sessionUid: uid });
      return decode(SessionHeadSchema, key, value, record);
    }
    this.#assertAlive();
    return undefined;
  }

  sessions(query: SessionQuery): StoredSession[] {
    const { namespace, index, reverse = false, after, limit, onLeftOut } = query;
    if (limit < 1) return [];
    const first = indexPrefix(namespace, index);
    const end = prefixEnd(first);
    const from = after && indexKey({ namespace, index, position: after });
    const found: StoredSession[] = [];
    for (const key of this.#tables.indexes.getKeys({
      start: from ?? (reverse ? end : first),
      end: reverse ? first : end,
      exclusiveStart: from !== undefined || reverse,
      reverse,
    })) {
      const { sessionId } = parseIndexKey(key).position;
      try {
        const session = this.session({ namespace, sessionId });
        if (session === undefined) throw new DataLossError({ record: `session "${sessionId}"` });
        found.push(session);
      } catch (error) {
        // One that cannot be read does not take the others along.
        if (!(error instanceof DataLossError)) throw error;
        this.#onDamage(error);
        onLeftOut?.(sessionId);
      }
      if (found.length === limit) break;
    }
    if (found.length < limit) this.#assertAlive();
    return found;
  }

  log(args: {
    namespace: string;
    afterOffset: number;
    limit: number;
  }): { offset: number; entry: NamespaceLogEntry }[] {
    const { namespace, afterOffset, limit } = args;
    if (limit < 1) return [];
    const start = logKey({ namespace, offset: afterOffset + 1 });
    const end = prefixEnd(start.subarray(0, start.length - 8));
    const entries = [];
    for (const { key, value } of this.#tables.log.getRange({ start, end, limit })) {
      const { offset } = parseLogKey(key);
      const record = () => ({ record: `log entry ${offset} of namespace "${namespace}"` });
      entries.push({ offset, entry: decode(NamespaceLogEntrySchema, key, value, record) });
    }
    if (entries.length < limit) this.#assertAlive();
    return entries;
  }

  goneThrough(namespace: string): number {
    const key = goneKey(namespace);
    const value = this.#tables.meta.getBinary(key);
    if (value === undefined) return 0;
    const content = decodeRecord(key, value, () => ({
      record: `deletions gone from namespace "${namespace}"`,
    }));
    return Number(Buffer.from(content).readBigUInt64BE());
  }

  request(key: Uint8Array): RequestRecord | undefined {
    const value = this.#tables.requests.getBinary(Buffer.from(key));
    if (value === undefined) return undefined;
    const record = () => ({ record: `request ${Buffer.from(key).toString("hex")}` });
    const content = decodeRecord(key, value, record);
    return message(RequestRecordSchema, content.subarray(REQUEST_TIME_BYTES), record);
  }

  state(scope: StateScope): StateRecord | undefined {
    const key = stateKey(scope);
    const value = this.#tables.states.getBinary(key);
    return value && decode(StateRecordSchema, key, value, () => nameOfState(scope));
  }

  consumer(name: ConsumerName): ConsumerRecord | undefined {
    const key = consumerKey(name);
    const value = this.#tables.consumers.getBinary(key);
    return value && decode(ConsumerRecordSchema, key, value, () => nameOfConsumer(name));
  }

  consumers(args: {
    namespace: string;
    after?: string;
    limit: number;
  }): { name: string; record: ConsumerRecord }[] {
    const { namespace, after, limit } = args;
    if (limit < 1) return [];
    const prefix = namespacePrefix(namespace);
    const found = [];
    for (const { key, value } of this.#tables.consumers.getRange({
      start: after === undefined ? prefix : consumerKey({ namespace, name: after }),
      end: prefixEnd(prefix),
      exclusiveStart: after !== undefined,
    })) {
      const { name } = parseConsumerKey(key);
      try {
        const named = () => nameOfConsumer({ namespace, name });
        found.push({ name, record: decode(ConsumerRecordSchema, key, value, named) });
      } catch (error) {
        if (!(error instanceof DataLossError)) throw error;
        this.#onDamage(error);
      }
      if (found.length === limit) break;
    }
    if (found.length < limit) this.#assertAlive();
    return found;
  }

  /** Goes from the first entry of one namespace to that of the next: a look for each. */
  namespaces({ after, limit }: { after?: string; limit: number }): string[] {
    const found: string[] = [];
    let start = after === undefined ? Buffer.alloc(1) : prefixEnd(namespacePrefix(after));
    while (found.length < limit) {
      const [key] = this.#tables.log.getKeys({ start, limit: 1 });
      if (key === undefined) break;
      const { namespace } = parseLogKey(key);
      found.push(namespace);
      start = prefixEnd(namespacePrefix(namespace));
    }
    if (found.length < limit) this.#assertAlive();
    return found;
  }

  deadlines({ nowMs, limit }: { nowMs: number; limit: number }): Deadline[] {
    if (limit < 1) return [];
    const due: Deadline[] = [];
    for (const key of this.#tables.deadlines.getKeys({ limit })) {
      const deadline = parseDeadlineKey(key);
      if (deadline.dueMs > nowMs) break;
      due.push(deadline);
    }
    if (due.length === 0) this.#assertAlive();
    return due;
  }

  /** See `Store.records`. */
  records({ table: name, prefix, after, limit, maxBytes = Infinity }: RecordRange): StoredRecord[] {
    if (limit < 1) return [];
    const table = this.#tables[name];
    const start = after ?? prefix;
    const found: StoredRecord[] = [];
    let last = after;
    let bytes = 0;
    for (const { key, value } of table.getRange({
      ...(start && { start: Buffer.from(start) }),
      ...(prefix && { end: prefixEnd(prefix) }),
      exclusiveStart: after !== undefined,
      limit,
    })) {
      // Behind a damaged page the driver goes round in circles, and out of the range.
      const isInOrder = last === undefined || Buffer.compare(last, key) < 0;
      const isInside = prefix === undefined || key.indexOf(prefix) === 0;
      if (!isInOrder || !isInside) {
        throw new DataLossError({ record: `a page of table ${name}` });
      }
      last = key;
      bytes += value.length;
      if (bytes > maxBytes && found.length > 0) break;
      found.push(storedRecord(name, key, value));
    }
    if (found.length < limit) this.#assertAlive();
    return found;
  }

  /**
   * Throws what the driver failed with. After a failed commit its ranges are empty without an error,
   * so a range that ends early is believed only when a plain read works.
   */
  #assertAlive(): void {
    this.#tables.meta.getBinary(HEADER_KEY);
  }

  #head(uid: string): SessionHead | undefined {
    const key = uidBytes(uid);
    const value = this.#tables.heads.getBinary(key);
    if (value === undefined) return undefined;
    return decode(SessionHeadSchema, key, value, () => ({ record: "head", sessionUid: uid }));
  }
}

function nameOfState(scope: StateScope): RecordName {
  switch (scope.of) {
    case "app":
      return { record: `state of namespace "${scope.namespace}"` };
    case "user":
      return { record: `state of user "${scope.userId}"` };
    case "session":
      return { record: "state", sessionUid: scope.uid };
  }
}

function nameOfConsumer({ namespace, name }: ConsumerName): RecordName {
  return { record: `consumer "${name}" of namespace "${namespace}"` };
}

/** Tables whose keys say everything. */
const KEYS_ALONE: readonly RecordTable[] = ["indexes", "deadlines", "garbage", "references"];

function storedRecord(table: RecordTable, key: Buffer, value: Buffer): StoredRecord {
  if (KEYS_ALONE.includes(table)) return { key, content: value, continues: false };
  try {
    const content = decodeRecord(key, value, () => ({ record: `a record of ${table}` }));
    return { key, content, continues: table === "events" && continuesBatch(value) };
  } catch (error) {
    if (error instanceof DataLossError) return { key, content: error, continues: false };
    throw error;
  }
}

function decode<Desc extends DescMessage>(
  schema: Desc,
  key: Uint8Array,
  value: Buffer,
  name: () => RecordName,
): MessageShape<Desc> {
  return message(schema, decodeRecord(key, value, name), name);
}

function message<Desc extends DescMessage>(
  schema: Desc,
  content: Uint8Array,
  name: () => RecordName,
): MessageShape<Desc> {
  try {
    return fromBinary(schema, content);
  } catch (cause) {
    throw new DataLossError({ ...name(), cause });
  }
}
