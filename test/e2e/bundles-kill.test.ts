import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Sessiond } from "../../sdk/client/src/index.ts";
import { readTextLines } from "../../src/bundle/read-lines.ts";
import { openEnvironment } from "../../src/store/lmdb/environment.ts";
import { LmdbStore } from "../../src/store/lmdb/lmdb-store.ts";
import { startServer } from "../support/server-process.ts";

const timeout = 120_000;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-bundles-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A log of some thousand batches. */
const logEvents = 6_000;
const text = "I would like to know which reservations are possible. ".repeat(4);

async function linesOfLongSession(data: string): Promise<string[]> {
  await using server = await startServer({ data });
  await using sessiond = new Sessiond({ address: server.address });
  const session = await sessiond.sessions.create({ sessionId: "long" });
  for (let at = 0; at < logEvents; at += 500) {
    await session.append(Array.from({ length: 500 }, () => ({ role: "user", text }) as const));
  }
  return await Array.fromAsync(session.export());
}

/** Number of events in a data folder after housekeeping, whether or not they belong to a session. */
async function eventsIn(data: string): Promise<number> {
  const store = await LmdbStore.open({ path: data });
  while (await store.maintain({ nowMs: Date.now(), limit: 5_000 })) {
    // Each call does a bounded piece.
  }
  await store.close();
  const mapSizeBytes = 1024 ** 3;
  const environment = await openEnvironment({ path: data, mapSizeBytes, nowMs: Date.now() });
  try {
    return environment.tables.events.getKeysCount();
  } finally {
    await environment.close();
  }
}

describe("kill -9 during an import", { timeout }, () => {
  it("leaves all of the session or nothing, and a repeated import finishes it", async () => {
    const lines = await linesOfLongSession(join(folder, "source"));
    // Compactions that started by themselves are among its events.
    const headRevision = lines.length - 2;
    const data = join(folder, "target");
    const outcomes = new Set<string>();
    // From the first events to the commit and behind it.
    const places = [0.01, 0.6, 0.99, 1, 1];
    for (const [round, place] of places.entries()) {
      await rm(data, { recursive: true, force: true });
      const server = await startServer({ data });
      const sessiond = new Sessiond({ address: server.address, retry: { attempts: 1 } });
      const killed = Promise.withResolvers<void>();
      const last = Math.floor((lines.length - 1) * place);
      async function* sent() {
        for (const [index, line] of lines.entries()) {
          if (index === last && place < 1) server.kill("SIGKILL").then(() => killed.resolve());
          yield line;
        }
        // The footer is on its way: the commit may or may not be made.
        if (place === 1)
          setTimeout(() => server.kill("SIGKILL").then(() => killed.resolve()), round);
      }
      const answer = await sessiond.sessions.import(sent()).then(
        () => "acknowledged",
        () => "failed",
      );
      await killed.promise;
      sessiond.close();

      const restarted = await startServer({ data });
      const after = new Sessiond({ address: restarted.address });
      const found: string[] = [];
      for await (const session of after.sessions.list()) {
        found.push(session.sessionId);
        expect(await Array.fromAsync(session.export())).toEqual(lines);
      }
      outcomes.add(found.length === 0 ? "old" : "new");
      if (answer === "acknowledged") expect(found).toEqual(["long"]);
      if (found.length === 0) {
        const { session } = await after.sessions.import(lines);
        expect(session.headRevision).toBe(headRevision);
      }
      after.close();
      await restarted.kill("SIGTERM");
      // What the killed import had stored is gone, and nothing else.
      expect(await eventsIn(data)).toBe(headRevision);
    }
    expect(outcomes).toContain("old");
  });
});

describe("kill -9 while a session goes to the archive", { timeout }, () => {
  it("leaves it in the store or whole in the archive, and later there alone", async () => {
    const data = join(folder, "data");
    const archive = join(folder, "archive");
    const args = ["--archive", archive];
    for (const delayMs of [0, 10, 40]) {
      await rm(data, { recursive: true, force: true });
      await rm(archive, { recursive: true, force: true });
      const server = await startServer({ data, args });
      const sessiond = new Sessiond({ address: server.address, retry: { attempts: 1 } });
      const session = await sessiond.sessions.create({
        sessionId: "done",
        expiry: { retentionMs: 0 },
      });
      for (let at = 0; at < 2_000; at += 500) {
        await session.append(Array.from({ length: 500 }, () => ({ role: "user", text }) as const));
      }
      // Ended, it is due at once.
      const { headRevision } = await session.end();
      // How far it comes: some instants are before the file is whole, some behind it.
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await server.kill("SIGKILL");
      sessiond.close();

      const whole = await archivedFiles(archive);
      const store = await LmdbStore.open({ path: data });
      const kept = await store.getSession({ namespace: "default", sessionId: "done" });
      await store.close();
      if (kept === undefined) expect(whole).toHaveLength(1);

      await using restarted = await startServer({ data, args });
      await using after = new Sessiond({ address: restarted.address });
      const removed = new AbortController();
      const onSessionDeleted = () => removed.abort();
      for await (const _ of after.watch({ signal: removed.signal, onSessionDeleted })) {
        // Until it is removed.
      }
      const files = await archivedFiles(archive);
      expect(files).toHaveLength(1);
      // With manifest, session, end and summary.
      expect(files[0]).toHaveLength(headRevision + 4);
    }
  });
});

/** The lines of every bundle that is whole. */
async function archivedFiles(archive: string): Promise<string[][]> {
  const names = await readdir(join(archive, "default")).catch(() => []);
  return Promise.all(
    names
      .filter((name) => name.endsWith(".jsonl.zst"))
      .map(async (name) => {
        const bytes = await readFile(join(archive, "default", name));
        const lines: string[] = [];
        for await (const { text: line } of readTextLines(one(bytes))) lines.push(line);
        expect(lines.at(-1)).toContain('"summary"');
        return lines;
      }),
  );
}

async function* one(bytes: Uint8Array) {
  yield bytes;
}
