import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { StoreHeaderSchema } from "@sessiond/contract/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../src/store/lmdb/environment.ts";
import { encodeRecord } from "../../src/store/records.ts";
import { newStoreHeader } from "../../src/store/schema.ts";
import { connect } from "../robustness/connection.ts";
import { messageTo, reasonOf } from "../robustness/requests.ts";
import { needs } from "../support/needs.ts";
import { type EndedServer, runServer, startServer } from "../support/server-process.ts";
import { attach, canTrace } from "../support/strace.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-process-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("a server that cannot start", () => {
  it("leaves a folder alone that another server has, and names that server", async () => {
    await using first = await startServer({ data: folder });
    const { http } = connect(first.address);
    await http.appendEvents(messageTo({ sessionId: "s", requestId: "before" }));
    expectRefused(await runServer({ data: folder }), `in use by process ${first.pid}`);
    // The first one does not even notice.
    const answer = await http.appendEvents(messageTo({ sessionId: "s", requestId: "after" }));
    expect(answer.headRevision).toBe(3);
  });

  it("takes the folder of a server that was killed", async () => {
    {
      await using first = await startServer({ data: folder });
      await first.kill("SIGKILL");
    }
    await using second = await startServer({ data: folder });
    expect(await second.kill("SIGTERM")).toEqual({ code: 0, signal: null });
  });

  it("names the port that is in use", async () => {
    await using first = await startServer({ data: join(folder, "first") });
    const second = await runServer({ data: join(folder, "second"), port: first.port });
    expectRefused(second, String(first.port));
  });

  it("does not read a store of a newer version", async () => {
    await writeHeader(folder, { schemaVersion: 1_000 });
    expectRefused(await runServer({ data: folder }), "newer sessiond");
  });

  it("does not touch a file that is no store of its own", async () => {
    const file = join(folder, "data.mdb");
    const words = "these are somebody's own words\n".repeat(1_000);
    await writeFile(file, words);
    expectRefused(await runServer({ data: folder }), folder);
    expect(await readFile(file, "utf8")).toBe(words);
  });

  it("says which folder it cannot make", async () => {
    await writeFile(join(folder, "file"), "");
    const data = join(folder, "file", "data");
    expectRefused(await runServer({ data }), data);
  });

  it("says which file in its place is no folder", async () => {
    const data = join(folder, "file");
    await writeFile(data, "");
    expectRefused(await runServer({ data }), data);
  });

  it("says that its lock cannot be written", async () => {
    // Not by permissions: the superuser, who may run these tests, has all of them.
    await mkdir(join(folder, "sessiond.lock"));
    expectRefused(await runServer({ data: folder }), folder);
  });
});

describe("a server that is told to stop", () => {
  it("ends with 0 and has nothing on stdout when nobody calls", async () => {
    await using server = await startServer({ data: folder });
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(server.stdout()).toBe("");
  });

  it("ends watches with SHUTTING_DOWN", async () => {
    await using server = await startServer({ data: folder });
    const watching = watch(server.address);
    await watching.opened;
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(await watching.reason).toBe("SHUTTING_DOWN");
    expect(server.stdout()).toBe("");
  });

  it.skipIf(!needs("strace", canTrace))("finishes an append that is under way", async () => {
    const append = messageTo({ sessionId: "s", requestId: "under way" });
    {
      await using server = await startServer({ data: folder });
      const watching = watch(server.address);
      await watching.opened;
      await using trace = await attach(server.pid, [
        "fdatasync:delay_enter=500000",
        "pwrite64:delay_exit=1",
      ]);
      const answer = connect(server.address).grpc.appendEvents(append);
      // Its first page is written, its sync will take a while.
      await expect.poll(() => trace.calls().length, { timeout: 20_000 }).toBeGreaterThan(0);
      const exit = server.kill("SIGTERM");
      expect((await answer).headRevision).toBe(2);
      expect(await watching.reason).toBe("SHUTTING_DOWN");
      expect(await exit).toEqual({ code: 0, signal: null });
      expect(server.stdout()).toBe("");
    }
    await using server = await startServer({ data: folder });
    const { events } = await connect(server.address).http.listEvents({ sessionId: "s" });
    expect(events.map(({ eventId }) => eventId)).toEqual(["", "under way"]);
  });
});

/** Exit code 2, nothing on stdout, and on stderr one line that says what is wrong. */
function expectRefused({ code, stdout, stderr }: EndedServer, what: string): void {
  expect(stderr).toMatch(/^sessiond: [^\n]+\n$/);
  expect(stderr).toContain(what);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
}

/** Watches the default namespace: when that has begun, and why it ended. */
function watch(address: string): { opened: Promise<void>; reason: Promise<string> } {
  const opened = Promise.withResolvers<void>();
  const follow = async () => {
    for await (const _ of connect(address).grpc.watchEvents({}, { timeoutMs: 0 })) opened.resolve();
  };
  return { opened: opened.promise, reason: reasonOf(follow()) };
}

/** Makes an empty store whose header says something else than ours. */
async function writeHeader(path: string, { schemaVersion }: { schemaVersion: number }) {
  const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
  const header = create(StoreHeaderSchema, { ...newStoreHeader({ nowMs: 0 }), schemaVersion });
  const key = Buffer.from("header");
  const value = encodeRecord(key, toBinary(StoreHeaderSchema, header));
  await environment.write([{ table: "meta", key, value }]);
  await environment.close();
}
