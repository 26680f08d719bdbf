import { join } from "node:path";
import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { BackupRequestSchema, DeleteSessionRequestSchema, EventSchema } from "@sessiond/contract";
import { SessionHeadSchema } from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import { Upkeep } from "../../../src/domain/upkeep/upkeep.ts";
import {
  consumerKey,
  eventKey,
  parseLogKey,
  referenceKey,
  stateKey,
  uidBytes,
} from "../../../src/store/keys.ts";
import { copyRecords } from "../../../src/store/lmdb/copy.ts";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../../src/store/lmdb/environment.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import type { Tables, Write } from "../../../src/store/lmdb/tables.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { decodeRecord, encodeRecord } from "../../../src/store/records.ts";
import { temporaryFolders } from "../../store/lmdb/folders.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { checkStore } from "../../support/store-check.ts";
import { fork, remove } from "../history/support.ts";
import { patch } from "../state/support.ts";
import { verify } from "./support.ts";

const newFolder = temporaryFolders();
const never = new AbortController().signal;
const options = { mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 };
const survivors = ["child", "grandchild"];

/** A parent of two hundred events, which is deleted; a fork of it, and a fork of that. */
async function forksOfGone(domain: TestDomain): Promise<{ parent: string; child: string }> {
  await domain.create({ session: { sessionId: "parent", userId: "u" } });
  const { uid: parent } = await domain.get("parent");
  for (let i = 0; i < 40; i++) {
    const events = Array.from({ length: 5 }, (_, at) => userText(`${i} ${at}`));
    await domain.append({ sessionId: "parent", events });
  }
  await patch(domain, { mood: "calm", "user:name": "Ada" }, { sessionId: "parent" });
  // In the middle of a batch.
  const middle = { sessionId: "parent", revision: 150, newSessionId: "child" };
  const { uid: child } = await fork(domain, middle);
  await domain.append({ sessionId: "child", events: [userText("of the child")] });
  await patch(domain, { mood: "bold" }, { sessionId: "child" });
  await fork(domain, { sessionId: "child", newSessionId: "grandchild" });
  await domain.append({ sessionId: "grandchild", events: [userText("of the grandchild")] });
  await remove(domain, "parent");
  return { parent, child };
}

/** All that readers get of the forks. */
async function contentOf(domain: TestDomain) {
  const logs = survivors.map(async (sessionId) => ({
    session: await domain.get(sessionId),
    events: (await domain.log(sessionId)).map((event) => toJson(EventSchema, event)),
  }));
  return Promise.all(logs);
}

async function contentIn(path: string) {
  await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
  expect((await verify(domain.store)).findings).toEqual([]);
  return await contentOf(domain);
}

const engines = {
  LMDB: () => LmdbStore.open({ path: newFolder() }),
  memory: () => MemoryStore.open(),
};

describe.each(Object.entries(engines))("a %s store with forks", (_, open) => {
  it("verifies clean when their parent is there, when it is deleted, and when all are", async () => {
    await using domain = await openTestDomain({ store: await open() });
    await forksOfGone(domain);
    expect((await verify(domain.store)).findings).toEqual([]);
    // Before housekeeping has come by.
    const request = create(DeleteSessionRequestSchema, { sessionId: "child" });
    await domain.sessions.delete(request);
    expect((await verify(domain.store)).findings).toEqual([]);
    await remove(domain, "grandchild");
    expect((await verify(domain.store)).findings).toEqual([]);
    const { tables } = await domain.store.size();
    for (const name of ["events", "checkpoints", "references"]) {
      expect(tables.find((table) => table.name === name)?.entries, name).toBe(0);
    }
  });
});

describe("forks of a deleted session", () => {
  it("are in a backup and in a compacted store as they were", async () => {
    const path = newFolder();
    const backup = join(newFolder(), "backup");
    {
      await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
      await forksOfGone(domain);
      const upkeep = new Upkeep({
        store: domain.store,
        clock: Date.now,
        version: "0.0.0",
        dataFolder: path,
        openCopy: (folder) => LmdbStore.open({ path: folder, isBackup: true }),
        shutdown: never,
      });
      const request = create(BackupRequestSchema, { path: backup });
      for await (const { message } of upkeep.backup(request, never)) {
        expect(message.case).not.toBe("finding");
      }
      await upkeep.close();
    }
    const content = await contentIn(path);
    expect(content.map(({ events }) => events.length)).toEqual([153, 155]);

    const small = newFolder();
    const from = await openEnvironment({ ...options, path: backup, isBackup: true });
    const to = await openEnvironment({ ...options, path: small });
    const { leftOut } = await copyRecords(from, to, { signal: never, onRecords: () => {} });
    await from.close();
    await to.close();
    expect(leftOut).toBe(0);
    expect(await contentIn(small)).toEqual(content);
    expect((await checkStore(small)).faults).toEqual([]);
    expect((await checkStore(small)).entries).toEqual((await checkStore(path)).entries);
  });
});

interface Made {
  readonly parent: string;
  readonly child: string;
  readonly tables: Tables;
}

const nobody = "00000000-0000-7000-8000-000000000001";

/** How to break such a store, and what is said of it. */
const cases: readonly {
  readonly code: string;
  readonly what: string;
  readonly says: RegExp;
  readonly breakIt: (made: Made) => Write;
}[] = [
  {
    code: "REFERENCE_MISSING",
    what: "a fork that nothing keeps the log for",
    says: /no reference keeps the events that it shares up to 150/,
    breakIt: ({ parent, child }) => ({ table: "references", key: reference(parent, 150, child) }),
  },
  {
    code: "REFERENCE_STRAY",
    what: "a reference of a session that shares less",
    says: /shares a log up to 149, its head does not/,
    breakIt: ({ parent, child }) => nothing("references", reference(parent, 149, child)),
  },
  {
    code: "REFERENCE_STRAY",
    what: "a reference of nobody",
    says: /shares a log up to 7, its head does not/,
    breakIt: ({ parent }) => nothing("references", reference(parent, 7, nobody)),
  },
  {
    code: "EVENT_MISSING",
    what: "a hole in what is shared",
    says: /^event 3 missing; the session is at 153$/,
    breakIt: ({ parent }) => ({ table: "events", key: eventKey({ uid: parent, revision: 3 }) }),
  },
  {
    code: "EVENT_MISPLACED",
    what: "an event of the fork before those it inherits end",
    says: /^event 9 is among its own, and it inherits those up to 150$/,
    breakIt: ({ child }) => record("events", eventKey({ uid: child, revision: 9 }), Buffer.of()),
  },
  {
    code: "EVENTS_WITHOUT_SESSION",
    what: "events of the deleted parent that no fork shares",
    says: /^events from 151 on of a session that does not exist$/,
    breakIt: ({ parent }) =>
      record("events", eventKey({ uid: parent, revision: 151 }), Buffer.of()),
  },
  {
    code: "CHECKPOINT_STRAY",
    what: "a checkpoint of the deleted parent that no fork can use",
    says: /^a checkpoint at 151, and nobody has more than 150 events of the log$/,
    breakIt: ({ parent }) => {
      const head = create(SessionHeadSchema, { revision: 151, checkpointRevision: 151 });
      const key = eventKey({ uid: parent, revision: 151 });
      return record("checkpoints", key, toBinary(SessionHeadSchema, head));
    },
  },
  {
    code: "RECORD_DAMAGED",
    what: "a checkpoint",
    says: /^checkpoint 2 is not what was written$/,
    breakIt: ({ parent }) => ({
      table: "checkpoints",
      key: eventKey({ uid: parent, revision: 2 }),
      value: Buffer.from("nonsense"),
    }),
  },
  {
    code: "STATE_STRAY",
    what: "the state of a session that is not there",
    says: /^a state of a session that does not exist$/,
    breakIt: () =>
      record("states", stateKey({ of: "session", namespace: "default", uid: nobody }), Buffer.of()),
  },
  {
    code: "RECORD_DAMAGED",
    what: "the state of a user",
    says: /^a state of a user is not what was written$/,
    breakIt: () => ({
      table: "states",
      key: stateKey({ of: "user", namespace: "default", userId: "u" }),
      value: Buffer.from("nonsense"),
    }),
  },
  {
    code: "RECORD_DAMAGED",
    what: "a consumer",
    says: /^consumer "audit" is not what was written$/,
    breakIt: () => ({
      table: "consumers",
      key: consumerKey({ namespace: "default", name: "audit" }),
      value: Buffer.from("nonsense"),
    }),
  },
  {
    code: "COUNTER_WRONG",
    what: "a head that is wrong about what it inherits and about its state",
    says: /stateRevision is 1, the log has 153; inheritedBytes is 1, the log has \d+/,
    breakIt: ({ child, tables }) => {
      const key = uidBytes(child);
      const value = tables.heads.getBinary(key) ?? Buffer.of();
      const content = decodeRecord(key, Buffer.from(value), () => ({ record: "head" }));
      const head = fromBinary(SessionHeadSchema, content);
      const changed = { ...head, inheritedBytes: 1, stateRevision: 1 };
      return record("heads", key, toBinary(SessionHeadSchema, changed));
    },
  },
];

function reference(parent: string, lastRevision: number, uid: string): Buffer {
  return referenceKey({ log: uidBytes(parent), lastRevision, uid });
}

function nothing(table: Write["table"], key: Buffer): Write {
  return { table, key, value: Buffer.of() };
}

function record(table: Write["table"], key: Buffer, content: Uint8Array): Write {
  return { table, key, value: encodeRecord(key, content) };
}

describe("a verify of a store with forks finds", () => {
  it.each(cases)("$code: $what", async ({ code, says, breakIt }) => {
    const path = newFolder();
    let made: { parent: string; child: string };
    {
      await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
      made = await forksOfGone(domain);
    }
    const environment = await openEnvironment({ ...options, path });
    await environment.write([breakIt({ ...made, tables: environment.tables })]);
    await environment.close();
    await using store = await LmdbStore.open({ path });
    expect((await verify(store)).findings).toContainEqual(
      expect.objectContaining({ code, found: expect.stringMatching(says) }),
    );
  });
});

it("a verify takes holes in the log of a namespace, where entries of deleted sessions went", async () => {
  const path = newFolder();
  {
    await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
    await forksOfGone(domain);
  }
  const environment = await openEnvironment({ ...options, path });
  const offsets = [...environment.tables.log.getKeys()].map((key) => parseLogKey(key).offset);
  expect(offsets.length).toBeLessThan(offsets.at(-1) ?? 0);
  await environment.close();
  await using store = await LmdbStore.open({ path });
  expect((await verify(store)).findings).toEqual([]);
});
