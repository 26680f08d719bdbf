import { fromBinary } from "@bufbuild/protobuf";
import { type Session, SessionSchema } from "@sessiond/contract";
import { NamespaceLogEntrySchema, SessionHeadSchema } from "@sessiond/contract/store";
import { derive } from "../../src/store/indexes.ts";
import { parseEventKey, parseLogKey, sessionKey, uidText } from "../../src/store/keys.ts";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../src/store/lmdb/environment.ts";
import { pagesOf } from "../../src/store/lmdb/pages.ts";
import {
  REQUEST_TIME_BYTES,
  TABLE_NAMES,
  type TableName,
  type Tables,
} from "../../src/store/lmdb/tables.ts";
import { decodeRecord } from "../../src/store/records.ts";
import type { StoredSession } from "../../src/store/store.ts";

/** What a walk through the tables of a folder found. */
export interface StoreCheck {
  /** Entries by table. */
  readonly entries: Readonly<Record<TableName, number>>;
  /** Size of the file, and what of it is free for new content. */
  readonly fileBytes: number;
  readonly freeBytes: number;
  /** What the logs of the namespaces take of it. */
  readonly logBytes: number;
  /** Sentences about entries that belong to nothing, or lack what they belong to. */
  readonly faults: readonly string[];
}

/** An expired request record may stay for so long: they are looked through every quarter of an hour. */
const requestGraceMs = 16 * 60_000;

/**
 * Walks through every table of a store that nobody has open, and holds each entry against the sessions
 * that are there: none may be left of a session that is gone, and none may be missing of one that is
 * not. Events of a deleted session are left over unless a note in "garbage" says that they will go.
 */
export async function checkStore(path: string, nowMs: number = Date.now()): Promise<StoreCheck> {
  const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs });
  try {
    const { root, tables } = environment;
    const { fileBytes, freeBytes } = pagesOf(root, Object.values(tables));
    // Without them there would be so much more that is free.
    const others = TABLE_NAMES.filter((name) => name !== "log").map((name) => tables[name]);
    const logBytes = pagesOf(root, others).freeBytes - freeBytes;
    const stored = storedSessions(tables);
    const faults = [
      ...headFaults(tables, stored),
      ...eventFaults(tables, stored),
      ...derivedFaults(tables, stored),
      ...garbageFaults(tables, stored),
      ...logFaults(tables, stored),
      ...requestFaults(tables, nowMs),
    ];
    const counts = TABLE_NAMES.map((name) => [name, tables[name].getKeysCount()]);
    return { entries: Object.fromEntries(counts), fileBytes, freeBytes, logBytes, faults };
  } finally {
    await environment.close();
  }
}

/** Sessions by the uids of their logs; one without a head is a fault and has an empty one. */
type Stored = ReadonlyMap<string, StoredSession>;

function storedSessions({ sessions, heads }: Tables): Stored {
  const stored = new Map<string, StoredSession>();
  for (const { key, value } of sessions.getRange()) {
    const session = fromBinary(SessionSchema, content(key, value));
    if (!sessionKey(session).equals(key)) throw new Error(`a session stands under a wrong key`);
    const uid = Buffer.from(session.uid.replaceAll("-", ""), "hex");
    const head = heads.getBinary(uid);
    const record = head ? content(uid, head) : new Uint8Array();
    stored.set(session.uid, { session, head: fromBinary(SessionHeadSchema, record) });
  }
  return stored;
}

function content(key: Buffer, value: Buffer): Uint8Array {
  return decodeRecord(key, value, () => ({ record: key.toString("hex") }));
}

function headFaults({ heads }: Tables, stored: Stored): string[] {
  const uids = new Set([...heads.getKeys()].map(uidText));
  return [
    ...[...uids].filter((uid) => !stored.has(uid)).map((uid) => `head of no session: ${uid}`),
    ...[...stored.keys()]
      .filter((uid) => !uids.has(uid))
      .map((uid) => `session without head: ${uid}`),
  ];
}

function eventFaults({ events, garbage }: Tables, stored: Stored): string[] {
  const faults: string[] = [];
  const noted = new Set([...garbage.getKeys()].map(uidText));
  const newest = new Map<string, number>();
  for (const key of events.getKeys()) {
    const { uid, revision } = parseEventKey(key);
    if (noted.has(uid)) continue;
    if (!stored.has(uid)) faults.push(`event of no session: ${uid} ${revision}`);
    const before = newest.get(uid) ?? 0;
    if (revision !== before + 1) faults.push(`hole in ${uid} behind ${before}`);
    newest.set(uid, revision);
  }
  for (const [uid, { head }] of stored) {
    const last = newest.get(uid) ?? 0;
    if (last !== head.revision)
      faults.push(`${uid} has ${last} events, its head says ${head.revision}`);
  }
  return faults;
}

/** Indexes and deadlines are what a creation of each session would derive. */
function derivedFaults(tables: Tables, stored: Stored): string[] {
  const derived = [...stored.values()].map((after) =>
    derive({ key: keyOf(after.session), after, events: [] }),
  );
  return (["indexes", "deadlines"] as const).flatMap((name) => {
    const wanted = new Set(derived.flatMap((one) => one[name].puts.map(hex)));
    const found = new Set([...tables[name].getKeys()].map(hex));
    return [
      ...[...found]
        .filter((key) => !wanted.has(key))
        .map((key) => `${name}: ${key} is of no session`),
      ...[...wanted].filter((key) => !found.has(key)).map((key) => `${name}: ${key} is missing`),
    ];
  });
}

function keyOf({ namespace, sessionId, uid }: Session) {
  return { namespace, sessionId, uid };
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}

function garbageFaults({ garbage }: Tables, stored: Stored): string[] {
  const uids = [...garbage.getKeys()].map(uidText);
  return uids
    .filter((uid) => stored.has(uid))
    .map((uid) => `${uid} is there, and noted as deleted`);
}

/** Every session a log names is there, or its deletion is in the log, too. */
function logFaults({ log }: Tables, stored: Stored): string[] {
  const faults: string[] = [];
  const newest = new Map<string, number>();
  const named = new Map<string, boolean>();
  for (const { key, value } of log.getRange()) {
    const { namespace, offset } = parseLogKey(key);
    const before = newest.get(namespace);
    if (before !== undefined && offset !== before + 1) {
      faults.push(`log of ${namespace}: hole behind ${before}`);
    }
    newest.set(namespace, offset);
    const { sessionUid, deleted } = fromBinary(NamespaceLogEntrySchema, content(key, value));
    named.set(uidText(sessionUid), deleted);
  }
  for (const [uid, isDeleted] of named) {
    if (isDeleted === stored.has(uid))
      faults.push(`log: ${uid} ${isDeleted ? "is there" : "is gone"}`);
  }
  return faults;
}

function requestFaults({ requests }: Tables, nowMs: number): string[] {
  const faults: string[] = [];
  for (const { key, value } of requests.getRange()) {
    const time = Buffer.from(content(key, value).subarray(0, REQUEST_TIME_BYTES));
    const expireTimeMs = Number(time.readBigUInt64BE());
    if (expireTimeMs < nowMs - requestGraceMs) {
      faults.push(`request ${hex(key)} expired at ${new Date(expireTimeMs).toISOString()}`);
    }
  }
  return faults;
}
