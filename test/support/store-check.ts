import { fromBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Session, SessionSchema } from "@sessiond/contract";
import { NamespaceLogEntrySchema, SessionHeadSchema } from "@sessiond/contract/store";
import { limits } from "../../src/limits.ts";
import { derive } from "../../src/store/indexes.ts";
import {
  goneKey,
  parseEventKey,
  parseLogKey,
  parseReferenceKey,
  parseStateKey,
  sessionKey,
  uidText,
} from "../../src/store/keys.ts";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../src/store/lmdb/environment.ts";
import { pagesOf } from "../../src/store/lmdb/pages.ts";
import { newestOffset } from "../../src/store/lmdb/swept-tables.ts";
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

/** What has expired may stay for so long: it is looked through every quarter of an hour. */
const graceMs = 16 * 60_000;

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
      ...checkpointFaults(tables, stored),
      ...stateFaults(tables, stored),
      ...derivedFaults(tables, stored),
      ...garbageFaults(tables, stored),
      ...logFaults(tables, stored, nowMs),
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

/** Events stand under a session, from where those it inherits end, or under a log that forks share. */
function eventFaults({ events, garbage, references }: Tables, stored: Stored): string[] {
  const faults: string[] = [];
  const noted = new Set([...garbage.getKeys()].map(uidText));
  const shared = sharedRevisions(references);
  const newest = new Map<string, number>();
  for (const key of events.getKeys()) {
    const { uid, revision } = parseEventKey(key);
    const last = newest.get(uid);
    newest.set(uid, revision);
    if (noted.has(uid)) continue;
    const session = stored.get(uid);
    if (session === undefined && revision > (shared.get(uid) ?? 0)) {
      faults.push(`event of no session: ${uid} ${revision}`);
    }
    // Where the log of a fork begins that is deleted and has forks of its own, nobody says any more.
    const before = last ?? (session ? inheritedBy(session) : revision - 1);
    if (revision !== before + 1) faults.push(`hole in ${uid} behind ${before}`);
  }
  for (const [uid, session] of stored) {
    const { head } = session;
    const last = newest.get(uid) ?? inheritedBy(session);
    if (last !== head.revision)
      faults.push(`${uid} has ${last} events, its head says ${head.revision}`);
    for (const { uid: log, lastRevision } of head.inherited) {
      const kept = newest.get(uidText(log)) ?? 0;
      if (kept < lastRevision) faults.push(`${uid} shares ${lastRevision} events of ${kept}`);
    }
  }
  return faults;
}

function inheritedBy({ head }: StoredSession): number {
  return head.inherited.at(-1)?.lastRevision ?? 0;
}

/** Last revision of each log that a fork shares. */
function sharedRevisions(references: Tables["references"]): ReadonlyMap<string, number> {
  const keys = [...references.getKeys()].map(parseReferenceKey);
  return new Map(keys.map(({ log, lastRevision }) => [uidText(log), lastRevision]));
}

function checkpointFaults(tables: Tables, stored: Stored): string[] {
  const noted = new Set([...tables.garbage.getKeys()].map(uidText));
  const shared = sharedRevisions(tables.references);
  return [...tables.checkpoints.getKeys()].flatMap((key) => {
    const { uid, revision } = parseEventKey(key);
    const last = stored.get(uid)?.head.revision ?? shared.get(uid) ?? 0;
    return revision > last && !noted.has(uid) ? [`checkpoint of nobody: ${uid} ${revision}`] : [];
  });
}

function stateFaults({ states }: Tables, stored: Stored): string[] {
  return [...states.getKeys()].flatMap((key) => {
    const scope = parseStateKey(key);
    const isLeft = scope.of === "session" && !stored.has(scope.uid);
    return isLeft ? [`state of no session: ${scope.uid}`] : [];
  });
}

/** Indexes, deadlines and references are what a creation of each session would derive. */
function derivedFaults(tables: Tables, stored: Stored): string[] {
  const derived = [...stored.values()].map((after) =>
    derive({ key: keyOf(after.session), after, events: [] }),
  );
  return (["indexes", "deadlines", "references"] as const).flatMap((name) => {
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

/**
 * Of each session its namespace's log has every revision, one commit behind the other; of one that is
 * gone nothing but its deletion, and that only for its time, or as the newest entry.
 */
function logFaults(tables: Tables, stored: Stored, nowMs: number): string[] {
  const faults: string[] = [];
  const logged = new Map<string, number>();
  for (const { key, value } of tables.log.getRange()) {
    const { namespace, offset } = parseLogKey(key);
    const entry = fromBinary(NamespaceLogEntrySchema, content(key, value));
    const uid = uidText(entry.sessionUid);
    const what = `log of ${namespace}: entry ${offset} of ${uid}`;
    if (entry.deleted === stored.has(uid)) {
      faults.push(`${what}, which is ${entry.deleted ? "there" : "gone"}`);
    } else if (entry.deleted) {
      const gone = goneThrough(tables, namespace);
      if (offset <= gone) faults.push(`${what}: it should be gone with those up to ${gone}`);
      const time = entry.deleteTime === undefined ? 0 : timestampMs(entry.deleteTime);
      const isOld = time < nowMs - limits.deletionNoticeTtlMs - graceMs;
      if (isOld && offset !== newestOffset(tables.log, namespace))
        faults.push(`${what} is too old`);
    } else {
      const before = logged.get(uid);
      const shared = stored.get(uid)?.head.inherited.at(-1)?.lastRevision ?? 0;
      const { firstRevision: first } = entry;
      // A fork's own events may follow copies, which are no news.
      const follows =
        before === undefined && shared > 0 ? first > shared : first === (before ?? 0) + 1;
      if (!follows) faults.push(`${what}: hole behind ${before ?? shared}`);
      logged.set(uid, entry.lastRevision);
    }
  }
  for (const [uid, { head }] of stored) {
    const last = logged.get(uid) ?? 0;
    if (last !== head.revision) {
      faults.push(`log: ${uid} up to ${last}, its head says ${head.revision}`);
    }
  }
  return faults;
}

function goneThrough({ meta }: Tables, namespace: string): number {
  const key = goneKey(namespace);
  const value = meta.getBinary(key);
  return value === undefined ? 0 : Number(Buffer.from(content(key, value)).readBigUInt64BE());
}

function requestFaults({ requests }: Tables, nowMs: number): string[] {
  const faults: string[] = [];
  for (const { key, value } of requests.getRange()) {
    const time = Buffer.from(content(key, value).subarray(0, REQUEST_TIME_BYTES));
    const expireTimeMs = Number(time.readBigUInt64BE());
    if (expireTimeMs < nowMs - graceMs) {
      faults.push(`request ${hex(key)} expired at ${new Date(expireTimeMs).toISOString()}`);
    }
  }
  return faults;
}
