import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyStore } from "../../src/domain/upkeep/verify/verify.ts";
import { LmdbStore } from "../../src/store/lmdb/lmdb-store.ts";
import { openTestDomain, userText } from "../support/domain.ts";
import { needs } from "../support/needs.ts";
import { canTrace } from "../support/strace.ts";

/*
 * A command that is killed leaves the old state or the new one, and none in between; the same command
 * then does its work. Killed at moments spread over its time, and just before the system calls that
 * change which one it is.
 */

const mainFile = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const moments = 6;
const timeout = 300_000;
const folder = mkdtempSync(join(tmpdir(), "sessiond-upkeep-kill-"));
const path = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A store of some megabytes; `generation` tells one from another. */
async function makeStore(name: string, generation: string): Promise<void> {
  await using domain = await openTestDomain({ store: await LmdbStore.open({ path: path(name) }) });
  for (let i = 0; i < 20; i++) {
    const events = Array.from({ length: 200 }, (_, n) =>
      userText(`${generation} ${i} ${n} `.repeat(20)),
    );
    await domain.append({ sessionId: `${generation}-${i}`, createIfMissing: true, events });
  }
}

/** What a folder holds: the generation of all its sessions, after a verify that finds nothing. */
async function stateOf(name: string, isBackup = false): Promise<string> {
  await using store = await LmdbStore.open({ path: path(name), isBackup });
  for await (const { case: kind, value } of verifyStore(store, new AbortController().signal)) {
    if (kind === "finding") throw new Error(value.found);
  }
  const index = { by: "all" } as const;
  const sessions = await store.listSessions({ namespace: "default", index, limit: 100 });
  const generations = sessions.map(({ session }) => session.sessionId.split("-")[0]);
  return `${[...new Set(generations)].join()} ${sessions.length}`;
}

/** Runs a command, killed after a time if one is given. Returns how long it took. */
async function command(
  args: readonly string[],
  options: { killAfterMs?: number; wrap?: string[] } = {},
) {
  const { killAfterMs, wrap = [] } = options;
  const [program = "", ...rest] = [...wrap, process.execPath, mainFile, ...args];
  const startMs = performance.now();
  const child = spawn(program, rest, { cwd: folder, stdio: "ignore" });
  const ended = once(child, "exit");
  if (killAfterMs !== undefined) {
    await Promise.race([pause(killAfterMs), ended]);
    child.kill("SIGKILL");
  }
  const [code] = await ended;
  return { code, tookMs: performance.now() - startMs };
}

/** Kills the command at the entry of a system call. */
const before = (call: string) => ({
  wrap: [
    "strace",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    `trace=${call}`,
    "-e",
    `inject=${call}:signal=KILL:when=1`,
  ],
});
const renames = "?rename,?renameat,?renameat2";
const links = "?link,?linkat";

beforeAll(async () => {
  await makeStore("old", "old");
  await makeStore("newer", "new");
  const { code } = await command(["backup", path("backup"), "--data", path("newer")]);
  expect(code).toBe(0);
}, 60_000);

/** A command that changes a folder, and what there may be after it was killed. */
interface Case {
  readonly name: string;
  readonly args: readonly string[];
  /** Makes the state it begins with. */
  readonly prepare: () => void;
  /** What is there, in a word. */
  readonly state: () => Promise<string>;
  readonly old: string;
  readonly new: string;
}

const fresh = (name: string) => {
  rmSync(path(name), { recursive: true, force: true });
  cpSync(path("old"), path(name), { recursive: true });
};

const cases: readonly Case[] = [
  {
    name: "restore",
    args: ["restore", path("backup"), "--data", path("data"), "--force"],
    prepare: () => fresh("data"),
    state: () => stateOf("data"),
    old: "old 20",
    new: "new 20",
  },
  {
    name: "restore into a new folder",
    args: ["restore", path("backup"), "--data", path("made")],
    prepare: () => rmSync(path("made"), { recursive: true, force: true }),
    state: async () => (existsSync(path("made/data.mdb")) ? stateOf("made") : "nothing"),
    old: "nothing",
    new: "new 20",
  },
  {
    name: "compact",
    args: ["compact", "--data", path("data")],
    prepare: () => fresh("data"),
    state: () => stateOf("data"),
    old: "old 20",
    new: "old 20",
  },
  {
    name: "backup",
    args: ["backup", path("target"), "--data", path("old")],
    prepare: () => {
      for (const name of ["target", "target.partial"]) {
        rmSync(path(name), { recursive: true, force: true });
      }
    },
    state: async () => (existsSync(path("target")) ? stateOf("target", true) : "nothing"),
    old: "nothing",
    new: "old 20",
  },
];

describe.each(cases)("$name, killed", (operation) => {
  const { args, prepare, state } = operation;

  async function expectWhole(options: Parameters<typeof command>[1]): Promise<void> {
    prepare();
    await command(args, options);
    expect([operation.old, operation.new]).toContain(await state());
  }

  it(`at ${moments} moments of its time leaves the old or the new state`, { timeout }, async () => {
    prepare();
    const { code, tookMs } = await command(args);
    expect(code).toBe(0);
    expect(await state()).toBe(operation.new);
    for (let moment = 1; moment <= moments; moment++) {
      await expectWhole({ killAfterMs: tookMs * (0.4 + (0.6 * moment) / moments) });
    }
  });

  it.skipIf(!needs("strace", canTrace))(
    "before it renames or links leaves the old state, and is done the next time",
    { timeout },
    async () => {
      for (const call of [links, renames]) {
        prepare();
        const { code } = await command(args, before(call));
        // Killed, unless it makes no such call.
        if (code === 0) continue;
        expect(await state()).toBe(operation.old);
      }
      expect((await command(args)).code).toBe(0);
      expect(await state()).toBe(operation.new);
      const names = readdirSync(folder).concat(
        existsSync(path("data")) ? readdirSync(path("data")) : [],
      );
      expect(names.filter((name) => name.endsWith(".partial"))).toEqual([]);
    },
  );
});
