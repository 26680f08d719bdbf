import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Sessiond as Client } from "../../sdk/client/src/index.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

/** Names that would lead elsewhere, or that file systems treat in their own way. */
const names = ["user-42", "../../etc/passwd", "CON", "a/b\\c", "ü~1", "x".repeat(200)];

let cli: Sessiond;
let server: ServerProcess;
let archive: string;
beforeAll(async () => {
  cli = await openSessiond();
  archive = join(cli.folder, "archive");
  server = await startServer({ data: join(cli.folder, "kept"), args: ["--archive", archive] });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await cli[Symbol.asyncDispose]();
});

/** Makes sessions that are removed as soon as they end, and waits until they are. */
async function removed(sessionIds: readonly string[], namespace = "default"): Promise<void> {
  await using client = new Client({ address: server.address, namespace });
  const left = new Set(sessionIds);
  const all = new AbortController();
  const watch = client.watch({
    from: "now",
    signal: all.signal,
    onSessionDeleted: ({ sessionId }) => {
      left.delete(sessionId);
      if (left.size === 0) all.abort();
    },
  });
  await watch.open();
  for (const sessionId of sessionIds) {
    const session = await client.sessions.create({ sessionId, expiry: { retentionMs: 0 } });
    await session.append({ role: "user", text: `The ryokan of ${sessionId} in Kyoto` });
    await session.end({ reason: "done" });
  }
  for await (const _ of watch) {
    // Until all of them are removed.
  }
}

const run = (...args: readonly string[]) =>
  cli.run("archive", ...args, "--archive", archive, "--address", server.address);

test("ended sessions are archived before they are removed, whatever their names", async () => {
  await removed(names);
  const files = await readdir(join(archive, "default"));
  expect(files).toHaveLength(names.length);
  for (const file of files) expect(file).toMatch(/^[A-Za-z0-9_%-]+~[0-9a-f-]{36}\.jsonl\.zst$/);
  const { stdout, code } = await run("list");
  expect(code).toBe(0);
  const listed = linesOf<{ sessionId: string }>(stdout).map(({ sessionId }) => sessionId);
  for (const [index, name] of names.entries())
    expect(name.startsWith(listed[index] ?? "-")).toBe(true);
});

test("they are found by their words, and restored to stay", async () => {
  const { stdout } = await run("search", "RYOKAN of user-42");
  expect(linesOf(stdout)).toMatchObject([{ sessionId: "user-42", revision: 2 }]);
  for (const name of names) {
    const { code, stderr } = await run("restore", name);
    expect([code, stderr]).toEqual([0, ""]);
  }
  await using client = new Client({ address: server.address });
  const found: string[] = [];
  for await (const session of client.sessions.list()) {
    found.push(session.sessionId);
    expect(session).toMatchObject({ state: "completed", headRevision: 3 });
  }
  expect(found.sort()).toEqual([...names].sort());
  expect(await run("restore", "user-42")).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('session "user-42" exists'),
  });
  expect(await run("restore", "user-42", "--as", "again")).toMatchObject({
    code: 0,
    stdout: "again: restored, 3 events\n",
  });
});

test("a session that is not there, and an archive that is not there, are said in a line", async () => {
  expect(await run("restore", "nobody")).toMatchObject({ code: 4 });
  expect(await run("search")).toMatchObject({ code: 2 });
  expect(await cli.run("archive", "list")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("no archive is configured"),
  });
});

test("a damaged file is named, and the others are searched", async () => {
  await mkdir(join(archive, "damaged"), { recursive: true });
  const uid = "00000000-0000-7000-8000-000000000000";
  await writeFile(join(archive, "damaged", `a~${uid}.jsonl.zst`), "nonsense");
  await removed(["b"], "damaged");
  const { code, stdout, stderr } = await run("search", "Kyoto", "--namespace", "damaged");
  expect(code).toBe(7);
  expect(stderr).toContain(`a~${uid}.jsonl.zst`);
  expect(linesOf(stdout)).toMatchObject([{ sessionId: "b" }]);
});
