import { toBinary } from "@bufbuild/protobuf";
import { SessionSchema } from "@sessiond/contract";
import {
  ConsumerRecordSchema,
  NamespaceLogEntrySchema,
  RequestRecordSchema,
  SessionHeadSchema,
  StateRecordSchema,
} from "@sessiond/contract/store";
import { batchedEvents } from "../batches.ts";
import { encodedEvent } from "../encoded.ts";
import { isStaging, newNameOf } from "../in-flight.ts";
import { type Derived, isCheckpoint, type KeyChanges } from "../indexes.ts";
import { consumerKey, eventKey, goneKey, logKey, sessionKey, stateKey, uidBytes } from "../keys.ts";
import type { SweptPiece } from "../log-sweep.ts";
import { encodeRecord } from "../records.ts";
import type { RollupWrite } from "../rollup-book.ts";
import { stateChangesOf } from "../states.ts";
import type { Change } from "../store.ts";
import {
  NO_VALUE,
  REQUEST_TIME_BYTES,
  type TableName,
  UNCOUNTED_KEY,
  type Write,
} from "./tables.ts";

/**
 * Everything a change writes, ready for one batch. Nothing in here can fail half-way later.
 * `offset`: of its first entry in the log of the namespace.
 */
export function writesOf(change: Change, derived: Derived, offset: number): Write[] {
  return [
    ...sessionWrites(change),
    ...checkpointWrites(change),
    ...stagingWrites(change),
    ...derived.released.map((key): Write => ({ table: "garbage", key, value: NO_VALUE })),
    ...keyWrites("references", derived.references),
    ...eventWrites(change),
    ...keyWrites("indexes", derived.indexes),
    ...keyWrites("deadlines", derived.deadlines),
    ...logWrites(change, derived, offset),
    ...requestWrites(change),
    ...stateWrites(change),
    ...consumerWrites(change),
  ];
}

/** What a piece of the sweep through the namespace logs writes. */
export function sweepWrites({ entries, goneThrough }: SweptPiece): Write[] {
  return [
    ...entries.map((place): Write => ({ table: "log", key: logKey(place) })),
    ...[...goneThrough].map(([namespace, offset]) => {
      const content = Buffer.alloc(8);
      content.writeBigUInt64BE(BigInt(offset));
      return record("meta", goneKey(namespace), content);
    }),
  ];
}

/** How far a store of before there were rollups is counted; undefined: it is. */
export function countedWrite(through: Uint8Array | undefined): Write {
  if (through === undefined) return { table: "meta", key: UNCOUNTED_KEY };
  return record("meta", UNCOUNTED_KEY, through);
}

/** What changed of rollups. */
export function rollupWrites(changed: readonly RollupWrite[]): Write[] {
  return changed.map(({ key, content }) =>
    content === undefined ? { table: "rollups", key } : record("rollups", key, content),
  );
}

function record(table: TableName, key: Uint8Array, content: Uint8Array): Write {
  return { table, key, value: encodeRecord(key, content) };
}

function sessionWrites(change: Change): Write[] {
  const { key, before, after } = change;
  if (before === undefined && after === undefined) return [];
  const uid = uidBytes(key.uid);
  if (after === undefined) {
    return [
      { table: "sessions", key: sessionKey(key) },
      { table: "heads", key: uid },
    ];
  }
  const head = record("heads", uid, toBinary(SessionHeadSchema, after.head));
  // An append leaves the session as it is: its instructions may be long.
  if (before?.session === after.session) return [head];
  const name = newNameOf(change) ?? key;
  const session = record("sessions", sessionKey(name), toBinary(SessionSchema, after.session));
  return name === key
    ? [head, session]
    : [head, session, { table: "sessions", key: sessionKey(key) }];
}

/** A log without a session is garbage, so that nothing has to be found after a crash. */
function stagingWrites(change: Change): Write[] {
  if (change.staged === undefined) return [];
  const key = uidBytes(change.key.uid);
  return [
    isStaging(change) ? { table: "garbage", key, value: NO_VALUE } : { table: "garbage", key },
  ];
}

function checkpointWrites({ key: { uid }, before, after, checkpoints = [] }: Change): Write[] {
  const isKept = after !== undefined && after.head !== before?.head && isCheckpoint(after.head);
  return [...checkpoints, ...(isKept ? [after.head] : [])].map((head) => {
    const at = eventKey({ uid, revision: head.revision });
    return record("checkpoints", at, toBinary(SessionHeadSchema, head));
  });
}

function eventWrites(change: Change): Write[] {
  return batchedEvents(change).map(({ event, continues }) => {
    const at = eventKey({ uid: change.key.uid, revision: event.revision });
    return { table: "events", key: at, value: encodeRecord(at, encodedEvent(event), continues) };
  });
}

function keyWrites(table: TableName, { puts, removes }: KeyChanges): Write[] {
  return [
    ...removes.map((key): Write => ({ table, key })),
    ...puts.map((key): Write => ({ table, key, value: NO_VALUE })),
  ];
}

function logWrites(
  { key: { namespace } }: Change,
  { logEntries }: Derived,
  offset: number,
): Write[] {
  return logEntries.map((entry, index) =>
    record(
      "log",
      logKey({ namespace, offset: offset + index }),
      toBinary(NamespaceLogEntrySchema, entry),
    ),
  );
}

function requestWrites({ request }: Change): Write[] {
  if (request === undefined) return [];
  const { key, expireTimeMs } = request;
  const time = Buffer.alloc(REQUEST_TIME_BYTES);
  time.writeBigUInt64BE(BigInt(expireTimeMs));
  const content = Buffer.concat([time, toBinary(RequestRecordSchema, request.record)]);
  return [record("requests", key, content)];
}

function stateWrites(change: Change): Write[] {
  return stateChangesOf(change).map(({ scope, record: state }) => {
    const key = stateKey(scope);
    return state === undefined
      ? { table: "states", key }
      : record("states", key, toBinary(StateRecordSchema, state));
  });
}

function consumerWrites({ consumers = [] }: Change): Write[] {
  return consumers.map(({ record: consumer, ...name }) => {
    const key = consumerKey(name);
    return consumer === undefined
      ? { table: "consumers", key }
      : record("consumers", key, toBinary(ConsumerRecordSchema, consumer));
  });
}
