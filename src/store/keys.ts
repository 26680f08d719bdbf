import { createHash } from "node:crypto";
import type {
  ConsumerName,
  RollupKey,
  RollupSeries,
  SessionIndex,
  SessionKey,
  SessionPosition,
  StateScope,
} from "./store.ts";

/*
 * Every key of a store, as bytes whose order is the order of what they name. Numbers are big
 * endian. `name` stands for one byte with the length of the namespace, then the namespace: no text
 * needs escaping, and no namespace is the beginning of another.
 *
 *   session    name, session id
 *   head       uid (16)
 *   event      uid (16), revision (4)
 *   log        name, offset (8)
 *   gone       "gone", name
 *   index      name, kind (1), length of value (2), value, create time in ms (8), session id
 *   deadline   due time in ms (8), uid (16), name, session id
 *   request    hash (16)
 *   state      name, kind (1), then nothing (app), user id (user), or uid (16) (session)
 *   reference  uid of the shared log (16), last revision shared (4), uid of the fork (16)
 *   checkpoint as event
 *   consumer   name, name of the consumer
 *   rollup     name, kind (1), length of label (1), label, part (1), hour since 1970 (4), value: what was
 *              written in one hour lies side by side, and so does what is read of a period
 */

/** What the engines take. Names are limited far below, see `limits.ts`. */
export const MAX_KEY_BYTES = 1_977;

/** First bytes of a gone key, so that it is none of the other keys of its table. */
const GONE = Buffer.from("gone");

const UID_BYTES = 16;
const REQUEST_KEY_BYTES = 16;

/** First byte after the namespace of an index key. Part of the layout: never renumber. */
const INDEX_KINDS = { all: 1, state: 2, agent: 3, user: 4, parent: 5 } as const satisfies Record<
  SessionIndex["by"],
  number
>;

/** First byte after the namespace of a state key. Part of the layout: never renumber. */
const STATE_KINDS = { app: 1, user: 2, session: 3 } as const satisfies Record<
  StateScope["of"],
  number
>;

/** First byte after the namespace of a rollup key. Part of the layout: never renumber. */
const ROLLUP_KINDS = { all: 1, agent: 2, user: 3, label: 4 } as const satisfies Record<
  RollupSeries["dimension"],
  number
>;

/** What stands before the hour of a rollup key. Part of the layout: never renumber. */
const ROLLUP_PARTS = { active: 1, counters: 2, sessions: 3, steps: 4 } as const satisfies Record<
  RollupKey["part"],
  number
>;

/** Name of a session within a store. */
export interface SessionName {
  readonly namespace: string;
  readonly sessionId: string;
}

/** What an index key says. */
export interface IndexKey {
  readonly namespace: string;
  readonly index: SessionIndex;
  readonly position: SessionPosition;
}

function assertKey(condition: boolean, what: string): asserts condition {
  if (!condition) throw new RangeError(`key: ${what}`);
}

function checked(key: Buffer): Buffer {
  assertKey(key.length > 0 && key.length <= MAX_KEY_BYTES, `${key.length} bytes`);
  return key;
}

function uint64(value: number): Buffer {
  assertKey(Number.isSafeInteger(value) && value >= 0, `${value} is no unsigned integer`);
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function nameBytes(namespace: string): Buffer {
  const bytes = Buffer.byteLength(namespace);
  assertKey(bytes <= 255, `namespace of ${bytes} bytes`);
  const name = Buffer.allocUnsafe(1 + bytes);
  name[0] = bytes;
  name.write(namespace, 1);
  return name;
}

/** Takes a key apart from left to right; throws when it ends too early. */
class KeyReader {
  readonly #key: Buffer;
  #at = 0;

  constructor(key: Uint8Array) {
    this.#key = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  }

  take(bytes: number): Buffer {
    assertKey(this.#at + bytes <= this.#key.length, "ends too early");
    this.#at += bytes;
    return this.#key.subarray(this.#at - bytes, this.#at);
  }

  uint64(): number {
    const value = Number(this.take(8).readBigUInt64BE());
    assertKey(Number.isSafeInteger(value), "number too large");
    return value;
  }

  name(): string {
    return this.take(this.take(1).readUInt8()).toString("utf8");
  }

  rest(): Buffer {
    return this.take(this.#key.length - this.#at);
  }

  end(): void {
    assertKey(this.#at === this.#key.length, "goes on after its end");
  }
}

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** 16 bytes of a UUID in its lower-case text form. */
export function uidBytes(uid: string): Buffer {
  assertKey(uuidPattern.test(uid), `"${uid}" is no UUID`);
  return Buffer.from(uid.replaceAll("-", ""), "hex");
}

/** Text form of 16 bytes: the inverse of `uidBytes`. */
export function uidText(bytes: Uint8Array): string {
  assertKey(bytes.length === UID_BYTES, `uid of ${bytes.length} bytes`);
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export function sessionKey({ namespace, sessionId }: SessionName): Buffer {
  return checked(Buffer.concat([nameBytes(namespace), Buffer.from(sessionId)]));
}

export function parseSessionKey(key: Uint8Array): SessionName {
  const reader = new KeyReader(key);
  return { namespace: reader.name(), sessionId: reader.rest().toString("utf8") };
}

export function eventKey({ uid, revision }: { uid: string; revision: number }): Buffer {
  const key = Buffer.allocUnsafe(UID_BYTES + 4);
  uidBytes(uid).copy(key);
  key.writeUInt32BE(revision, UID_BYTES);
  return key;
}

export function parseEventKey(key: Uint8Array): { uid: string; revision: number } {
  const reader = new KeyReader(key);
  const uid = uidText(reader.take(UID_BYTES));
  const revision = reader.take(4).readUInt32BE();
  reader.end();
  return { uid, revision };
}

/** Says that a session shares a log up to a revision. The newest shared revision is the last key. */
export function referenceKey(args: { log: Uint8Array; lastRevision: number; uid: string }): Buffer {
  const { log, lastRevision, uid } = args;
  assertKey(log.length === UID_BYTES, `uid of ${log.length} bytes`);
  const revision = Buffer.allocUnsafe(4);
  revision.writeUInt32BE(lastRevision);
  return Buffer.concat([log, revision, uidBytes(uid)]);
}

/** What a reference says; `uid` is that of the fork. */
export function parseReferenceKey(key: Uint8Array): {
  log: Uint8Array;
  lastRevision: number;
  uid: string;
} {
  const reader = new KeyReader(key);
  const log = reader.take(UID_BYTES);
  const lastRevision = reader.take(4).readUInt32BE();
  const uid = uidText(reader.take(UID_BYTES));
  reader.end();
  return { log, lastRevision, uid };
}

export function logKey({ namespace, offset }: { namespace: string; offset: number }): Buffer {
  return Buffer.concat([nameBytes(namespace), uint64(offset)]);
}

export function parseLogKey(key: Uint8Array): { namespace: string; offset: number } {
  const reader = new KeyReader(key);
  const namespace = reader.name();
  const offset = reader.uint64();
  reader.end();
  return { namespace, offset };
}

/** Key of how far the deletions in a namespace's log were removed. */
export function goneKey(namespace: string): Buffer {
  return Buffer.concat([GONE, nameBytes(namespace)]);
}

/** What the keys of one list of sessions begin with. */
export function indexPrefix(namespace: string, index: SessionIndex): Buffer {
  const value = Buffer.from(index.by === "all" ? "" : String(index.value));
  const head = Buffer.allocUnsafe(3);
  head.writeUInt8(INDEX_KINDS[index.by]);
  head.writeUInt16BE(value.length, 1);
  return Buffer.concat([nameBytes(namespace), head, value]);
}

export function indexKey({ namespace, index, position }: IndexKey): Buffer {
  return checked(
    Buffer.concat([
      indexPrefix(namespace, index),
      uint64(position.createTimeMs),
      Buffer.from(position.sessionId),
    ]),
  );
}

export function parseIndexKey(key: Uint8Array): IndexKey {
  const reader = new KeyReader(key);
  const namespace = reader.name();
  const kind = reader.take(1).readUInt8();
  const value = reader.take(reader.take(2).readUInt16BE()).toString("utf8");
  const createTimeMs = reader.uint64();
  const sessionId = reader.rest().toString("utf8");
  return { namespace, index: indexOf(kind, value), position: { createTimeMs, sessionId } };
}

function indexOf(kind: number, value: string): SessionIndex {
  switch (kind) {
    case INDEX_KINDS.all:
      return { by: "all" };
    case INDEX_KINDS.state:
      return { by: "state", value: Number(value) };
    case INDEX_KINDS.agent:
      return { by: "agent", value };
    case INDEX_KINDS.user:
      return { by: "user", value };
    case INDEX_KINDS.parent:
      return { by: "parent", value };
    default:
      throw new RangeError(`key: unknown index ${kind}`);
  }
}

export function deadlineKey({ dueMs, key }: { dueMs: number; key: SessionKey }): Buffer {
  return checked(
    Buffer.concat([
      uint64(dueMs),
      uidBytes(key.uid),
      nameBytes(key.namespace),
      Buffer.from(key.sessionId),
    ]),
  );
}

export function parseDeadlineKey(bytes: Uint8Array): { dueMs: number; key: SessionKey } {
  const reader = new KeyReader(bytes);
  const dueMs = reader.uint64();
  const uid = uidText(reader.take(UID_BYTES));
  const namespace = reader.name();
  return { dueMs, key: { namespace, sessionId: reader.rest().toString("utf8"), uid } };
}

/** Key of a request record: 16 bytes that stand for one request id of one session name. */
export function requestKey(args: {
  namespace: string;
  sessionId: string;
  requestId: string;
}): Uint8Array {
  const hash = createHash("sha256");
  for (const part of [args.namespace, args.sessionId, args.requestId]) {
    // The length in front keeps ("a", "bc") and ("ab", "c") apart.
    hash.update(uint64(Buffer.byteLength(part))).update(part);
  }
  return hash.digest().subarray(0, REQUEST_KEY_BYTES);
}

export function stateKey(scope: StateScope): Buffer {
  const kind = Buffer.of(STATE_KINDS[scope.of]);
  return checked(Buffer.concat([nameBytes(scope.namespace), kind, stateOwner(scope)]));
}

export function parseStateKey(key: Uint8Array): StateScope {
  const reader = new KeyReader(key);
  const namespace = reader.name();
  const kind = reader.take(1).readUInt8();
  const owner = reader.rest();
  switch (kind) {
    case STATE_KINDS.app:
      assertKey(owner.length === 0, "goes on after its end");
      return { of: "app", namespace };
    case STATE_KINDS.user:
      return { of: "user", namespace, userId: owner.toString("utf8") };
    case STATE_KINDS.session:
      return { of: "session", namespace, uid: uidText(owner) };
    default:
      throw new RangeError(`key: no kind of state has number ${kind}`);
  }
}

function stateOwner(scope: StateScope): Buffer {
  switch (scope.of) {
    case "app":
      return Buffer.alloc(0);
    case "user":
      return Buffer.from(scope.userId);
    case "session":
      return uidBytes(scope.uid);
  }
}

export function consumerKey({ namespace, name }: ConsumerName): Buffer {
  return checked(Buffer.concat([nameBytes(namespace), Buffer.from(name)]));
}

export function parseConsumerKey(key: Uint8Array): ConsumerName {
  const reader = new KeyReader(key);
  return { namespace: reader.name(), name: reader.rest().toString("utf8") };
}

/** What every key of a namespace begins with, in the tables whose keys begin with it. */
export function namespacePrefix(namespace: string): Buffer {
  return nameBytes(namespace);
}

/** What the rollup keys of all values of a dimension begin with, those of one part. */
export function rollupPrefix(args: Omit<RollupKey, "hour" | "value">): Buffer {
  const { namespace, dimension, label, part } = args;
  const labelBytes = Buffer.byteLength(label);
  assertKey(labelBytes <= 255, `label of ${labelBytes} bytes`);
  return Buffer.concat([
    nameBytes(namespace),
    Buffer.of(ROLLUP_KINDS[dimension], labelBytes),
    Buffer.from(label),
    Buffer.of(ROLLUP_PARTS[part]),
  ]);
}

export function rollupKey(args: RollupKey): Buffer {
  const hour = Buffer.allocUnsafe(4);
  hour.writeUInt32BE(args.hour);
  return checked(Buffer.concat([rollupPrefix(args), hour, Buffer.from(args.value)]));
}

export function parseRollupKey(key: Uint8Array): RollupKey {
  const reader = new KeyReader(key);
  const namespace = reader.name();
  const kind = reader.take(1).readUInt8();
  const label = reader.name();
  const part = nameOf(ROLLUP_PARTS, reader.take(1).readUInt8());
  const hour = reader.take(4).readUInt32BE();
  const value = reader.rest().toString("utf8");
  return { namespace, dimension: nameOf(ROLLUP_KINDS, kind), label, part, hour, value };
}

function nameOf<Name extends string>(numbers: Readonly<Record<Name, number>>, number: number) {
  const names = Object.keys(numbers) as Name[];
  const name = names.find((one) => numbers[one] === number);
  assertKey(name !== undefined, `nothing has number ${number}`);
  return name;
}

/** First key behind every key that begins with the prefix. */
export function prefixEnd(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end.readUInt8(at);
    if (byte < 0xff) {
      end.writeUInt8(byte + 1, at);
      return end.subarray(0, at + 1);
    }
  }
  throw new RangeError("key: nothing lies behind a prefix of 0xff");
}
