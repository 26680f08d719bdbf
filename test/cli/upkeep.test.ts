import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Sessiond } from "../../sdk/client/src/index.ts";
import { linesOf, openSessiond, type Sessiond as Running } from "./support/sessiond.ts";

let sessiond: Running;
let data: string;
beforeAll(async () => {
  sessiond = await openSessiond();
  data = join(sessiond.folder, "data");
  for (const id of ["a", "b"]) await sessiond.ok("append", id, "an unmistakable text", "--create");
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const path = (...names: string[]) => join(sessiond.folder, ...names);

/** Stops the server for the time of a piece of work on its folder. */
async function whileStopped(work: () => Promise<void>): Promise<void> {
  await sessiond.server.kill("SIGTERM");
  try {
    await work();
  } finally {
    await sessiond.restart();
  }
}

/** Cursor behind the first event of "a" that a watch gives. */
async function firstCursor(cursor?: string): Promise<string> {
  await using client = new Sessiond({ address: sessiond.server.address });
  await using watch = (await client.sessions.get("a")).watch({ cursor });
  for await (const _ of watch) return watch.cursor;
  return "";
}

/** Flips a bit in every copy of a text in a data file. */
function damage(file: string): void {
  const content = readFileSync(file);
  const text = "an unmistakable text";
  for (let at = content.indexOf(text); at >= 0; at = content.indexOf(text, at + 1)) {
    content.writeUInt8(content.readUInt8(at) ^ 1, at);
  }
  writeFileSync(file, content);
}

describe("verify, stat and backup ask the running server", () => {
  test("verify says that nothing is wrong: 0", async () => {
    const [last] = linesOf<{ summary: object }>(await sessiond.ok("verify"));
    expect(last?.summary).toMatchObject({ sessions: "2", events: "4", namespaces: "1" });
    const text = await sessiond.ok("verify", "-o", "text");
    expect(text).toMatch(/^nothing is wrong in \d+ records: 2 sessions, 4 events, 1 namespaces/);
  });

  test("stat says sizes and sessions", async () => {
    const stat = JSON.parse(await sessiond.ok("stat", "-o", "json"));
    expect(stat).toMatchObject({
      store: { engine: "lmdb" },
      sessions: "2",
      sessionsExamined: "2",
      namespaces: [{ namespace: "default", sessions: "2", events: "4" }],
    });
    expect(stat.biggest.map((session: { sessionId: string }) => session.sessionId).sort()).toEqual([
      "a",
      "b",
    ]);
    expect(Number(stat.usedBytes) + Number(stat.freeBytes)).toBe(Number(stat.fileBytes));
    const text = await sessiond.ok("stat", "-o", "text");
    expect(text).toMatch(/events +4 +4\.0 KiB/);
    expect(text).toContain("Oldest that have not ended");
  });

  test("a backup is there, and is not written over: 2", async () => {
    const [last] = linesOf<{ summary: object }>(await sessiond.ok("backup", "first"));
    expect(last?.summary).toMatchObject({ path: path("first"), verified: { sessions: "2" } });
    const again = await sessiond.run("backup", "first");
    expect(again).toMatchObject({ code: 2, stdout: "" });
    expect(again.stderr).toContain("exists and is not empty");
    expect(await sessiond.ok("verify", "--data", "first", "-o", "text")).toMatch(
      /^nothing is wrong/,
    );
  });

  test("a folder in use is not opened: 2, with what to do", async () => {
    for (const args of [["verify"], ["stat"], ["compact"], ["backup", "other"]]) {
      const { code, stderr } = await sessiond.run(...args, "--data", data);
      expect(code, args[0]).toBe(2);
      expect(stderr).toContain("is in use by process");
      expect(stderr).toContain("without --data ask the running server");
    }
    const { code, stderr } = await sessiond.run("restore", "first", "--data", data, "--force");
    expect(code).toBe(2);
    expect(stderr).toContain("is in use by process");
  });

  test("a folder without a store stays without one: 2", async () => {
    mkdirSync(path("empty"), { recursive: true });
    for (const command of ["verify", "stat", "compact"]) {
      const { code, stderr } = await sessiond.run(command, "--data", "empty");
      expect(code).toBe(2);
      expect(stderr).toContain("there is no store in");
    }
    expect(readdirSync(path("empty"))).toEqual([]);
  });
});

describe("log-level", () => {
  test("shows and changes what the server logs, for a time", async () => {
    expect(await sessiond.ok("log-level")).toBe("info\n");
    expect(await sessiond.ok("log-level", "debug", "--for", "10m")).toMatch(
      /^debug until [\d: -]+, was info\n$/,
    );
    expect(await sessiond.ok("log-level")).toBe("debug\n");
    expect(await sessiond.ok("log-level", "configured")).toBe("info, was debug\n");
  });

  test("a level that is none: 2, with those there are", async () => {
    const { code, stderr } = await sessiond.run("log-level", "loud");
    expect(code).toBe(2);
    expect(stderr).toContain("Allowed choices are trace, debug, info");
  });
});

describe("restore", { timeout: 90_000 }, () => {
  test("makes a data folder that a server starts with, and refuses cursors from before", async () => {
    const cursor = await firstCursor();
    await sessiond.ok("backup", "second");
    await sessiond.ok("append", "a", "after the backup");
    await whileStopped(async () => {
      const refused = await sessiond.run("restore", "second", "--data", data);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("has a store; restore into another folder, or use --force");
      const [restored] = linesOf<{ before: string }>(
        await sessiond.ok("restore", "second", "--data", data, "--force", "-o", "jsonl"),
      );
      expect(restored).toMatchObject({ data, sessions: 2, events: 4, findings: 0 });
      const before = await sessiond.ok("verify", "--data", restored?.before ?? "", "-o", "text");
      expect(before).toMatch(/2 sessions, 5 events/);
    });
    expect(await sessiond.ok("show", "a")).not.toContain("after the backup");
    await expect(firstCursor(cursor)).rejects.toMatchObject({ reason: "CURSOR_INVALID" });
    await sessiond.ok("append", "a", "goes on");
  });

  test("refuses what is no backup, and one that is not what was written", async () => {
    const nothing = await sessiond.run("restore", data, "--data", "new");
    expect(nothing).toMatchObject({ code: 2 });
    expect(nothing.stderr).toContain("is no backup");

    await sessiond.ok("backup", "damaged");
    damage(path("damaged", "data.mdb"));
    const damaged = await sessiond.run("restore", "damaged", "--data", "new");
    expect(damaged.code).toBe(7);
    expect(damaged.stderr).toContain("RECORD_DAMAGED");
    expect(damaged.stderr).toContain("nothing was restored");
    expect(existsSync(path("new", "data.mdb"))).toBe(false);
    expect(existsSync(path("new", "restore.partial"))).toBe(false);
  });

  test("a server does not start on a backup: 2", async () => {
    await sessiond.ok("backup", "third");
    const { code, stderr } = await sessiond.run("serve", "--data", "third", "--listen", "0");
    expect(code).toBe(2);
    expect(stderr).toContain("sessiond restore");
  });
});

describe("with the server stopped", { timeout: 90_000 }, () => {
  test("verify names what is wrong and ends with 7, and so does a backup, which is there", async () => {
    await whileStopped(async () => {
      const kept = readFileSync(join(data, "data.mdb"));
      damage(join(data, "data.mdb"));
      const verified = await sessiond.run("verify", "--data", data);
      expect(verified.code).toBe(7);
      const [first] = linesOf<{ finding?: { code: string; found: string } }>(verified.stdout);
      expect(first?.finding).toMatchObject({
        code: "STORE_FINDING_CODE_RECORD_DAMAGED",
        found: "event 2 is not what was written",
      });
      const backup = await sessiond.run("backup", "with-damage", "--data", data, "-o", "text");
      expect(backup.code).toBe(7);
      expect(backup.stdout).toContain("✗ RECORD_DAMAGED");
      expect(backup.stdout).toContain("with 2 findings");
      // Known to be damaged when it was made: it may be all there is.
      const restored = await sessiond.run("restore", "with-damage", "--data", "as-it-was");
      expect(restored.code).toBe(7);
      expect(existsSync(path("as-it-was", "data.mdb"))).toBe(true);
      const compacted = await sessiond.run("compact", "--data", data);
      expect(compacted.code).toBe(7);
      expect(compacted.stderr).toContain("nothing was changed");
      writeFileSync(join(data, "data.mdb"), kept);
    });
  });

  test("compact makes the file smaller, and everything is there", async () => {
    const text = "word ".repeat(4_000);
    await sessiond.ok("append", "gone", text, "--create");
    await sessiond.ok("delete", "gone");
    const before = await sessiond.ok("show", "a", "-o", "json");
    await whileStopped(async () => {
      const [result] = linesOf<{ beforeBytes: number; afterBytes: number }>(
        await sessiond.ok("compact", "--data", data, "-o", "jsonl"),
      );
      expect(result?.afterBytes).toBeLessThan(result?.beforeBytes ?? 0);
      expect(readdirSync(data)).not.toContain("compact.partial");
      expect(await sessiond.ok("verify", "--data", data, "-o", "text")).toMatch(
        /^nothing is wrong/,
      );
    });
    expect(await sessiond.ok("show", "a", "-o", "json")).toBe(before);
  });
});
