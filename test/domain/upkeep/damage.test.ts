import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  EventSchema,
  SessionParentKind,
  SessionParentSchema,
  SessionSchema,
} from "@sessiond/contract";
import {
  NamespaceLogEntrySchema,
  type SessionHead,
  SessionHeadSchema,
} from "@sessiond/contract/store";
import { describe, expect, it, test } from "vitest";
import {
  eventKey,
  indexKey,
  logKey,
  rollupKey,
  sessionKey,
  uidBytes,
} from "../../../src/store/keys.ts";
import {
  DEFAULT_MAP_BYTES,
  type Environment,
  openEnvironment,
} from "../../../src/store/lmdb/environment.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import type { TableName, Write } from "../../../src/store/lmdb/tables.ts";
import { decodeRecord, encodeRecord } from "../../../src/store/records.ts";
import {
  addEncodedCounters,
  count,
  encodeCounters,
  newCounters,
} from "../../../src/store/rollup-counters.ts";
import { temporaryFolders } from "../../store/lmdb/folders.ts";
import { openTestDomain, userText } from "../../support/domain.ts";
import { codesOf, type Verified, verify } from "./support.ts";

const newFolder = temporaryFolders();
const namespace = "default";
const name = { namespace, sessionId: "bad" };

/** What breaks a store is done with: an open environment, and the session that is to suffer. */
interface Tools {
  readonly uid: string;
  /** Content of a record; undefined when it is not there. */
  read(table: TableName, key: Buffer): Uint8Array | undefined;
  put(table: TableName, key: Buffer, content: Uint8Array, continues?: boolean): void;
  remove(table: TableName, key: Buffer): void;
  /** Bytes as they are, without a checksum. */
  putRaw(table: TableName, key: Buffer, value: Buffer): void;
  changeHead(change: (head: SessionHead) => void): void;
}

/**
 * Makes a store with two sessions, "bad" and "good" with five events each, breaks something, and gives
 * what a verify finds.
 */
async function found(breakIt: (tools: Tools) => void): Promise<Verified> {
  const path = newFolder();
  const uid = await twoSessions(path);
  await broken(path, uid, breakIt);
  await using store = await LmdbStore.open({ path });
  return await verify(store);
}

async function twoSessions(path: string): Promise<string> {
  await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
  for (const sessionId of ["bad", "good"]) {
    const expiry = { idleTtl: { seconds: 60n } };
    await domain.create({ session: { sessionId, agentId: "agent", expiry } });
    await domain.append({ sessionId, requestId: "r", events: [userText("1"), userText("2")] });
    await domain.append({ sessionId, events: [userText("3"), userText("4")] });
  }
  return (await domain.get("bad")).uid;
}

async function broken(path: string, uid: string, breakIt: (tools: Tools) => void): Promise<void> {
  const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
  const writes: Write[] = [];
  breakIt(toolsOf(environment, uid, writes));
  await environment.write(writes);
  await environment.close();
}

function toolsOf({ tables }: Environment, uid: string, writes: Write[]): Tools {
  const tools: Tools = {
    uid,
    read(table, key) {
      const value = tables[table].getBinary(key);
      return value && decodeRecord(key, Buffer.from(value), () => ({ record: table }));
    },
    put(table, key, content, continues = false) {
      tools.putRaw(table, key, encodeRecord(key, content, continues));
    },
    putRaw: (table, key, value) => void writes.push({ table, key, value }),
    remove: (table, key) => void writes.push({ table, key }),
    changeHead(change) {
      const head = fromBinary(SessionHeadSchema, tools.read("heads", uidBytes(uid)) ?? Buffer.of());
      change(head);
      tools.put("heads", uidBytes(uid), toBinary(SessionHeadSchema, head));
    },
  };
  return tools;
}

const event = (uid: string, revision: number) => eventKey({ uid, revision });
/** What was counted in the hour in which the domain's clock begins. */
const rollup = rollupKey({
  ...{ namespace, dimension: "all", label: "", value: "", part: "counters" },
  hour: Date.UTC(2030, 0, 1) / 3_600_000,
});
const position = { createTimeMs: 1, sessionId: "bad" };

/** One case for each code: how to break it, and what is said of it. */
const cases: readonly {
  readonly code: string;
  readonly what: string;
  readonly says: RegExp;
  readonly breakIt: (tools: Tools) => void;
}[] = [
  {
    code: "RECORD_DAMAGED",
    what: "an event with a wrong checksum",
    says: /event 3 is not what was written/,
    breakIt: ({ uid, putRaw }) => putRaw("events", event(uid, 3), Buffer.from("\x01abcdefgh")),
  },
  {
    code: "RECORD_DAMAGED",
    what: "an event under another key",
    says: /event 3 is not what was written/,
    breakIt: ({ uid, putRaw, read }) =>
      putRaw(
        "events",
        event(uid, 3),
        encodeRecord(event(uid, 2), read("events", event(uid, 2)) ?? Buffer.of()),
      ),
  },
  {
    code: "RECORD_DAMAGED",
    what: "a record that is no message",
    says: /event 2 is not what was written/,
    breakIt: ({ uid, put }) => put("events", event(uid, 2), Buffer.from([0xff, 0xff, 0xff])),
  },
  {
    code: "RECORD_DAMAGED",
    what: "a head",
    says: /the head is not what was written/,
    breakIt: ({ uid, putRaw }) => putRaw("heads", uidBytes(uid), Buffer.from("nonsense")),
  },
  {
    code: "RECORD_DAMAGED",
    what: "an answer that is kept for a retry",
    says: /the answer kept for a retry/,
    breakIt: ({ put }) => put("requests", Buffer.alloc(16, 7), Buffer.from("short")),
  },
  {
    code: "RECORD_DAMAGED",
    what: "an entry of a namespace's log",
    says: /entry 1 of the namespace's log/,
    breakIt: ({ putRaw }) =>
      putRaw("log", logKey({ namespace, offset: 1 }), Buffer.from("nonsense")),
  },
  {
    code: "HEAD_MISSING",
    what: "a session without a head, whose events are then nobody's",
    says: /no head record/,
    breakIt: ({ uid, remove }) => remove("heads", uidBytes(uid)),
  },
  {
    code: "SESSION_MISSING",
    what: "a head without a session",
    says: /a head and a log without a session$/,
    breakIt: ({ remove }) => remove("sessions", sessionKey(name)),
  },
  {
    code: "EVENT_MISSING",
    what: "a hole in a log",
    says: /^event 3 missing; the session is at 5$/,
    breakIt: ({ uid, remove }) => remove("events", event(uid, 3)),
  },
  {
    code: "EVENT_MISSING",
    what: "a log that ends too early",
    says: /^events 4 to 5 missing; the session is at 5$/,
    breakIt: ({ uid, remove }) => {
      remove("events", event(uid, 4));
      remove("events", event(uid, 5));
    },
  },
  {
    code: "EVENT_MISPLACED",
    what: "an event that says another revision",
    says: /^event 3 says it is 9$/,
    breakIt: ({ uid, put, read }) => {
      const message = fromBinary(EventSchema, read("events", event(uid, 3)) ?? Buffer.of());
      put("events", event(uid, 3), toBinary(EventSchema, { ...message, revision: 9 }));
    },
  },
  {
    code: "EVENT_BEYOND_HEAD",
    what: "an event behind the head",
    says: /^event 6 is there; the session is at 5$/,
    breakIt: ({ uid, put, read }) =>
      put("events", event(uid, 6), read("events", event(uid, 5)) ?? Buffer.of()),
  },
  {
    code: "EVENTS_WITHOUT_SESSION",
    what: "events of nobody",
    says: /^events from 7 on of a session that does not exist$/,
    breakIt: ({ put }) =>
      put("events", event("00000000-0000-7000-8000-000000000001", 7), Buffer.of()),
  },
  {
    code: "BATCH_OPEN",
    what: "half a batch",
    says: /^the batch of event 5 has no end$/,
    breakIt: ({ uid, put, read }) =>
      put("events", event(uid, 5), read("events", event(uid, 5)) ?? Buffer.of(), true),
  },
  {
    code: "PARENT_MISSING",
    what: "a child whose parent is not there",
    says: /^its parent 01990000-0000-7000-8000-000000000001 is not there$/,
    breakIt: ({ put, read }) => {
      const session = fromBinary(SessionSchema, read("sessions", sessionKey(name)) ?? Buffer.of());
      const uid = "01990000-0000-7000-8000-000000000001";
      const kind = SessionParentKind.CHILD;
      session.parent = create(SessionParentSchema, { sessionId: "parent", kind, uid });
      put("sessions", sessionKey(name), toBinary(SessionSchema, session));
      const createTimeMs = Number(session.createTime?.seconds ?? 0n) * 1_000;
      const at = { createTimeMs, sessionId: "bad" };
      put(
        "indexes",
        indexKey({ namespace, index: { by: "parent", value: uid }, position: at }),
        Buffer.of(),
      );
    },
  },
  {
    code: "INDEX_MISSING",
    what: "a child that the list of its parent lacks",
    says: /a list of sessions does not have it/,
    breakIt: ({ put, read }) => {
      const session = fromBinary(SessionSchema, read("sessions", sessionKey(name)) ?? Buffer.of());
      const good = sessionKey({ namespace, sessionId: "good" });
      const { uid } = fromBinary(SessionSchema, read("sessions", good) ?? Buffer.of());
      const kind = SessionParentKind.CHILD;
      session.parent = create(SessionParentSchema, { sessionId: "good", kind, uid });
      put("sessions", sessionKey(name), toBinary(SessionSchema, session));
    },
  },
  {
    code: "INDEX_MISSING",
    what: "a session that a list lacks",
    says: /a list of sessions does not have it/,
    breakIt: ({ remove, read }) => {
      const session = fromBinary(SessionSchema, read("sessions", sessionKey(name)) ?? Buffer.of());
      const createTimeMs = Number(session.createTime?.seconds ?? 0n) * 1_000;
      const at = { createTimeMs, sessionId: "bad" };
      remove(
        "indexes",
        indexKey({ namespace, index: { by: "agent", value: "agent" }, position: at }),
      );
    },
  },
  {
    code: "INDEX_STRAY",
    what: "a list that names a session twice",
    says: /a list names it where it does not belong/,
    breakIt: ({ putRaw }) =>
      putRaw("indexes", indexKey({ namespace, index: { by: "all" }, position }), Buffer.of()),
  },
  {
    code: "INDEX_STRAY",
    what: "a list that names a session that is not there",
    says: /a list names it where it does not belong/,
    breakIt: ({ putRaw }) => {
      const nobody = { createTimeMs: 1, sessionId: "nobody" };
      putRaw(
        "indexes",
        indexKey({ namespace, index: { by: "all" }, position: nobody }),
        Buffer.of(),
      );
    },
  },
  {
    code: "DEADLINE_MISSING",
    what: "a session that does not expire",
    says: /does not expire when it should/,
    breakIt: ({ uid, remove, read }) => {
      const session = fromBinary(SessionSchema, read("sessions", sessionKey(name)) ?? Buffer.of());
      remove("deadlines", deadline(uid, Number(session.expireTime?.seconds ?? 0n) * 1_000));
    },
  },
  {
    code: "DEADLINE_STRAY",
    what: "a second deadline",
    says: /a deadline that is not its own/,
    breakIt: ({ uid, putRaw }) => putRaw("deadlines", deadline(uid, 5), Buffer.of()),
  },
  {
    code: "NAMESPACE_LOG_WRONG",
    what: "a log of a namespace that lacks events of a session",
    says: /entry 3 names events 4 to 5 behind 1/,
    breakIt: ({ remove }) => remove("log", logKey({ namespace, offset: 2 })),
  },
  {
    code: "NAMESPACE_LOG_WRONG",
    what: "a log of a namespace that names events which are not there",
    says: /entry 3 names events 5 to 9 behind 3/,
    breakIt: changeEntry(3, (entry) => {
      entry.firstRevision = 5;
      entry.lastRevision = 9;
    }),
  },
  {
    code: "NAMESPACE_LOG_WRONG",
    what: "a log of a namespace that ends too early",
    says: /has named events up to 3 of 5/,
    breakIt: ({ put, read, remove }) => {
      for (const offset of [4, 5]) {
        const next = read("log", logKey({ namespace, offset })) ?? Buffer.of();
        const key = logKey({ namespace, offset: offset - 1 });
        put("log", key, next);
      }
      put(
        "log",
        logKey({ namespace, offset: 5 }),
        read("log", logKey({ namespace, offset: 6 })) ?? Buffer.of(),
      );
      remove("log", logKey({ namespace, offset: 6 }));
    },
  },
  {
    code: "COUNTER_WRONG",
    what: "a counter",
    says: /messages is 5, the log has 4; storedBytes is 1, the log has \d+/,
    breakIt: ({ changeHead }) =>
      changeHead(({ metrics }) => {
        if (metrics === undefined) return;
        metrics.messages += 1;
        metrics.storedBytes = 1;
      }),
  },
  {
    code: "COUNTER_WRONG",
    what: "a sum of tokens",
    says: /tokens are not the sum of those of the events/,
    breakIt: ({ changeHead }) =>
      changeHead(({ metrics }) => {
        if (metrics?.tokens) metrics.tokens.input += 1;
      }),
  },
  {
    code: "RECORD_DAMAGED",
    what: "a rollup",
    says: /a rollup is not what was written/,
    breakIt: ({ putRaw }) => putRaw("rollups", rollup, Buffer.from("nonsense")),
  },
  {
    code: "ROLLUP_WRONG",
    what: "a rollup that is gone",
    says: /sessions is 0, logs have 2; events is 0, logs have 10; /,
    breakIt: ({ remove }) => remove("rollups", rollup),
  },
  {
    code: "ROLLUP_WRONG",
    what: "a rollup that has more than the logs, where nothing was deleted",
    says: /^errors is 7, logs have 0$/,
    breakIt: ({ put, read }) => {
      const counters = newCounters();
      addEncodedCounters(counters, read("rollups", rollup) ?? Buffer.of());
      count(counters, "errors", 7);
      put("rollups", rollup, encodeCounters(counters));
    },
  },
  {
    code: "CONTEXT_WRONG",
    what: "a compaction that is none",
    says: /the compaction in force is 2, the log has 0/,
    breakIt: ({ changeHead }) =>
      changeHead((head) => {
        if (head.context) head.context.compaction = compaction;
      }),
  },
  {
    code: "LOG_CONDEMNED",
    what: "a log that is about to be removed",
    says: /about to remove the log of a session that is there/,
    breakIt: ({ uid, putRaw }) => putRaw("garbage", uidBytes(uid), Buffer.of()),
  },
];

const compaction = fromBinary(SessionHeadSchema, Buffer.of(0x3a, 0x04, 0x42, 0x02, 0x08, 0x02))
  .context?.compaction as NonNullable<NonNullable<SessionHead["context"]>["compaction"]>;

function changeEntry(
  offset: number,
  change: (entry: ReturnType<typeof fromBinary<typeof NamespaceLogEntrySchema>>) => void,
) {
  return ({ put, read }: Tools) => {
    const key = logKey({ namespace, offset });
    const entry = fromBinary(NamespaceLogEntrySchema, read("log", key) ?? Buffer.of());
    change(entry);
    put("log", key, toBinary(NamespaceLogEntrySchema, entry));
  };
}

function deadline(uid: string, dueMs: number): Buffer {
  const due = Buffer.alloc(8);
  due.writeBigUInt64BE(BigInt(dueMs));
  return Buffer.concat([due, uidBytes(uid), sessionKey(name)]);
}

describe("a verify finds", () => {
  it.each(cases)("$code: $what", async ({ code, says, breakIt }) => {
    const verified = await found(breakIt);
    expect(codesOf(verified)).toContain(code);
    expect(verified.findings).toContainEqual(
      expect.objectContaining({ code, found: expect.stringMatching(says) }),
    );
    expect(verified.summary.findings).toBe(verified.findings.length);
    // The good session is looked at all the same, and nothing is said of it.
    expect(JSON.stringify(verified.findings)).not.toContain("good");
  });

  it("nothing else than what is broken", async () => {
    const alone = new Set(["EVENT_MISSING", "INDEX_STRAY", "DEADLINE_STRAY", "COUNTER_WRONG"]);
    for (const { code, breakIt } of cases) {
      if (alone.has(code)) expect(codesOf(await found(breakIt))).toEqual([code]);
    }
  });

  it("all that is broken, not the first of it only", async () => {
    const path = newFolder();
    const uid = await twoSessions(path);
    const wanted = ["RECORD_DAMAGED", "INDEX_STRAY", "DEADLINE_STRAY", "LOG_CONDEMNED"];
    for (const code of wanted) {
      await broken(path, uid, cases.find((one) => one.code === code)?.breakIt ?? (() => {}));
    }
    await using store = await LmdbStore.open({ path });
    expect(codesOf(await verify(store)).sort()).toEqual(wanted.sort());
  });
});

test("a verify goes on behind pages that cannot be read", async () => {
  const path = newFolder();
  {
    await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
    for (let i = 0; i < 200; i++) {
      const sessionId = `s${i}`;
      const text = `here ${i} `.repeat(20);
      const events = Array.from({ length: 20 }, () => userText(text));
      await domain.append({ sessionId, createIfMissing: true, events });
    }
  }
  breakBranches(join(path, "data.mdb"));

  await using store = await LmdbStore.open({ path });
  const { findings, summary } = await verify(store);
  expect(findings.length).toBeGreaterThan(0);
  expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(["TABLE_UNREADABLE"]));
  expect(summary.sessions).toBe(200n);
});

/**
 * Has a child of each large branch page lie far behind the end of the file. (LMDB ends the process when
 * a page is of another kind than it should be; this it reports.)
 */
function breakBranches(file: string): void {
  const content = readFileSync(file);
  const pageBytes = 4_096;
  for (let page = 0; page < content.length; page += pageBytes) {
    const isBranch = content.readUInt16LE(page + 18) === 0x01;
    const isItself = content.readUInt32LE(page) === page / pageBytes;
    const nodes = (content.readUInt16LE(page + 20) - 24) / 2;
    if (!isBranch || !isItself || nodes < 6) continue;
    const node = page + content.readUInt16LE(page + 24 + 2 * Math.floor(nodes / 2));
    content.writeUInt16LE(0x7fff, node + 4);
  }
  writeFileSync(file, content);
}

test("a verify leaves the file as it is", async () => {
  const path = newFolder();
  await twoSessions(path);
  const before = readFileSync(join(path, "data.mdb"));
  {
    await using store = await LmdbStore.open({ path });
    await verify(store);
  }
  expect(readFileSync(join(path, "data.mdb")).equals(before)).toBe(true);
});
