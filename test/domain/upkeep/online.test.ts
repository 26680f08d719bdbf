import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  BackupRequestSchema,
  type BackupResponse,
  CreateSessionRequestSchema,
  DeleteSessionRequestSchema,
  IfExists,
  VerifyRequestSchema,
} from "@sessiond/contract";
import { afterAll, describe, expect, it } from "vitest";
import { Upkeep } from "../../../src/domain/upkeep/upkeep.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { MANIFEST_FILE, readManifest } from "../../../src/store/manifest.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { rejection } from "../../store/support.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { liveIn, verify } from "./support.ts";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sessiond-upkeep-"));
  folders.push(folder);
  return folder;
}

const never = new AbortController().signal;

interface Used extends AsyncDisposable {
  readonly domain: TestDomain;
  readonly upkeep: Upkeep;
  readonly data: string;
  shutDown(): void;
}

async function used(open: (data: string) => Promise<Store>): Promise<Used> {
  const data = join(newFolder(), "data");
  const domain = await openTestDomain({ store: await open(data) });
  const shutdown = new AbortController();
  const upkeep = new Upkeep({
    store: domain.store,
    clock: Date.now,
    version: "0.0.0",
    dataFolder: data,
    openCopy: (path) => LmdbStore.open({ path }),
    shutdown: shutdown.signal,
  });
  return {
    domain,
    upkeep,
    data,
    shutDown: () => shutdown.abort(),
    async [Symbol.asyncDispose]() {
      await upkeep.close();
      await domain[Symbol.asyncDispose]();
    },
  };
}

const onDisk = () => used((path) => LmdbStore.open({ path }));
const inMemory = () => used(() => MemoryStore.open());

/**
 * Appends, creates, renames and deletes until it is told to stop; each batch has three events. `names`:
 * of the sessions that have only such batches.
 */
function busy({ domain }: Used) {
  let isStopped = false;
  const names = new Set<string>();
  const worker = async (name: string) => {
    for (let round = 0; !isStopped; round++) {
      const sessionId = `${name}-${round % 5}`;
      const events = [userText("one"), userText("two"), userText("three")];
      await domain.append({ sessionId, createIfMissing: true, events });
      names.add(sessionId);
      if (round % 7 === 0) {
        const session = { sessionId: `${name}-renewed`, expiry: { idleTtl: { seconds: 90n } } };
        await domain.create({ session }).catch(() => {});
        const renew = { session, ifExists: IfExists.RENEW };
        await domain.sessions.create(create(CreateSessionRequestSchema, renew));
      }
      if (round % 11 === 0) {
        await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
      }
      if (round % 13 === 0) await domain.store.maintain({ nowMs: domain.now, limit: 50 });
    }
  };
  const workers = Promise.all(["a", "b", "c", "d"].map(worker));
  return {
    names,
    async stop() {
      isStopped = true;
      await workers;
    },
  };
}

async function all(stream: AsyncIterable<BackupResponse>): Promise<BackupResponse["message"][]> {
  const messages: BackupResponse["message"][] = [];
  for await (const { message } of stream) messages.push(message);
  return messages;
}

const backupTo = ({ upkeep }: Used, path: string, signal = never) =>
  upkeep.backup(create(BackupRequestSchema, { path }), signal);
const verifyOf = ({ upkeep }: Used, signal = never) =>
  upkeep.verify(create(VerifyRequestSchema), signal);

describe.each([
  ["LMDB", onDisk],
  ["memory", inMemory],
] as const)("verifying a %s store that is in use", (_, open) => {
  it("reports nothing that is only in motion", async () => {
    await using store = await open();
    await liveIn(store.domain);
    const load = busy(store);
    let commits = 0;
    store.domain.store.onCommit(() => {
      commits += 1;
    });
    for (let round = 0; round < 12; round++) {
      const { findings } = await verify(store.domain.store);
      expect(findings).toEqual([]);
    }
    // Otherwise nothing was in motion.
    expect(commits).toBeGreaterThan(20);
    await load.stop();
    expect((await verify(store.domain.store)).findings).toEqual([]);
  });

  it("begins with a message at once, and runs one at a time", async () => {
    await using store = await open();
    const first = verifyOf(store);
    expect((await first.next()).value?.message.case).toBe("progress");
    const error = await rejection(verifyOf(store).next());
    expect(error).toMatchObject({ reason: "STORE_BUSY", details: { operation: "verify" } });
    await first.return(undefined);
    const kinds = [];
    for await (const { message } of verifyOf(store)) kinds.push(message.case);
    expect(kinds.at(-1)).toBe("summary");
  });

  it("is given up by a caller that vanished without a word", async () => {
    await using store = await open();
    const caller = new AbortController();
    const stalled = verifyOf(store, caller.signal);
    await stalled.next();
    caller.abort();
    await store.upkeep.close();
    expect((await verifyOf(store).next()).done).toBe(false);
  });

  it("ends at a shutdown with SHUTTING_DOWN", async () => {
    await using store = await open();
    await liveIn(store.domain);
    const running = verifyOf(store);
    await running.next();
    store.shutDown();
    const ended = (async () => {
      for await (const _ of running);
    })();
    expect(await rejection(ended)).toMatchObject({ reason: "SHUTTING_DOWN" });
    expect(await rejection(verifyOf(store).next())).toMatchObject({ reason: "SHUTTING_DOWN" });
  });
});

describe("backing up a store that is in use", () => {
  it("verifies clean, and has no part of a batch", async () => {
    await using store = await onDisk();
    await liveIn(store.domain);
    const load = busy(store);
    for (let round = 0; round < 5; round++) {
      const path = join(newFolder(), "backup");
      const messages = await all(backupTo(store, path));
      expect(messages.at(0)?.case).toBe("progress");
      expect(messages.filter((message) => message.case === "finding")).toEqual([]);
      const summary = messages.at(-1)?.value;
      expect(summary).toMatchObject({ path, verified: { findings: 0 } });
      expect(readdirSync(path).sort()).toEqual([MANIFEST_FILE, "data.mdb"]);
      await using copy = await LmdbStore.open({ path, isBackup: true });
      expect((await verify(copy)).findings).toEqual([]);
      for (const sessionId of load.names) {
        const found = await copy.getSession({ namespace: "default", sessionId });
        // session_started, and threes.
        if (found !== undefined) expect((found.head.revision - 1) % 3).toBe(0);
      }
    }
    await load.stop();
  });

  it("holds every event that was acknowledged before it began", async () => {
    await using store = await onDisk();
    let appended = 0;
    let isStopped = false;
    const writer = (async () => {
      while (!isStopped) {
        const events = [userText("1"), userText("2")];
        const batch = { sessionId: "log", createIfMissing: true, events };
        const { headRevision } = await store.domain.append(batch);
        appended = headRevision;
      }
    })();
    let last = 0;
    for (let round = 0; round < 8; round++) {
      await store.domain.append({
        sessionId: "log",
        createIfMissing: true,
        events: [userText("x"), userText("y")],
      });
      const before = appended;
      const path = join(newFolder(), "backup");
      await all(backupTo(store, path));
      await using copy = await LmdbStore.open({ path, isBackup: true });
      const found = await copy.getSession({ namespace: "default", sessionId: "log" });
      const revision = found?.head.revision ?? 0;
      expect(revision).toBeGreaterThanOrEqual(before);
      expect(revision).toBeLessThanOrEqual(appended);
      expect(revision).toBeGreaterThan(last);
      expect(revision % 2).toBe(1);
      last = revision;
    }
    isStopped = true;
    await writer;
  });

  it("says in its manifest what it has", async () => {
    await using store = await onDisk();
    await liveIn(store.domain);
    const path = join(newFolder(), "backup");
    await all(backupTo(store, path));
    const manifest = await readManifest(path);
    const { tables } = await store.domain.store.size();
    expect(manifest.records).toEqual(
      Object.fromEntries(tables.map(({ name, entries }) => [name, entries])),
    );
    const { storeId } = store.domain.store.capabilities;
    expect(manifest).toMatchObject({
      version: "0.0.0",
      findings: 0,
      storeId: Buffer.from(storeId).toString("hex"),
    });
  });

  it("leaves nothing when its caller goes", async () => {
    await using store = await onDisk();
    await liveIn(store.domain);
    const folder = newFolder();
    const caller = new AbortController();
    const running = backupTo(store, join(folder, "backup"), caller.signal);
    await running.next();
    const next = running.next();
    caller.abort();
    await next.catch(() => {});
    await store.upkeep.close();
    expect(readdirSync(folder)).toEqual([]);
    await all(backupTo(store, join(folder, "backup")));
    expect(readdirSync(folder)).toEqual(["backup"]);
  });

  it("refuses paths that are not its own, and writes nothing", async () => {
    await using store = await onDisk();
    const folder = newFolder();
    const cases: [string, RegExp][] = [
      ["", /is required/],
      ["relative/path", /has to be absolute/],
      [join(store.data, "backup"), /lies in the data folder/],
      [join(store.data, "..", "data", "x"), /lies in the data folder/],
      [store.data, /lies in the data folder/],
      [join(folder, "no", "such"), /cannot be written: ENOENT/],
      [folder, /exists and is not empty/],
    ];
    await all(backupTo(store, join(folder, "first")));
    for (const [path, words] of cases) {
      const error = await rejection(all(backupTo(store, path)));
      expect(error, path).toMatchObject({ reason: "INVALID_FIELD", details: { field: "path" } });
      expect((error as Error).message, path).toMatch(words);
    }
    expect(readdirSync(folder)).toEqual(["first"]);
  });

  it("is not supported in memory", async () => {
    await using store = await inMemory();
    const folder = newFolder();
    const error = await rejection(all(backupTo(store, join(folder, "backup"))));
    expect(error).toMatchObject({ reason: "NOT_SUPPORTED" });
    expect(readdirSync(folder)).toEqual([]);
  });
});
