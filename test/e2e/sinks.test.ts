import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { constants, createReadStream } from "node:fs";
import { mkdtemp, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { IfExists } from "@sessiond/contract";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { collectable, liveMemory } from "../bench/support/live-memory.ts";
import { connect } from "../robustness/connection.ts";
import { eventually } from "../support/eventually.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-sinks-"));
});
afterEach(() => rm(folder, { recursive: true }));

interface Line {
  readonly sessionId: string;
  readonly event: { readonly revision: number };
}

const keyOf = ({ sessionId, event }: Line) => `${sessionId}/${event.revision}`;

/** A configuration file with these sinks, as arguments. */
async function withSinks(sinks: object): Promise<string[]> {
  const file = join(folder, "sessiond.json");
  await writeFile(file, JSON.stringify({ sinks }));
  return ["--config", file];
}

/** Appends batches to sessions in turn, several at once; resolves when all are acknowledged. */
async function appendAll(
  { address }: ServerProcess,
  args: { sessions: number; batches: number; events: number; text?: string; first?: number },
) {
  const { sessions, batches, events, text = "x".repeat(400), first = 0 } = args;
  const { http, sessions: service } = connect(address);
  // Compactions would be events, too.
  const contextPolicy = { compaction: { manual: true } };
  for (let n = 0; n < sessions; n++) {
    const session = { sessionId: `s${n}`, contextPolicy };
    await service.createSession({ session, ifExists: IfExists.RETURN });
  }
  const batch = Array.from({ length: events }, () => ({
    payload: { case: "message", value: { text } } as const,
  }));
  let next = first;
  const append = async () => {
    for (let n = next++; n < first + batches; n = next++) {
      const sessionId = `s${n % sessions}`;
      await http.appendEvents({ sessionId, events: batch });
    }
  };
  await Promise.all(Array.from({ length: Math.min(8, sessions) }, append));
}

/** What a session has after `appendAll`: its first event is that it started. */
const lengthOf = (args: { sessions: number; batches: number; events: number }) =>
  1 + (args.batches / args.sessions) * args.events;

/** Sequences of revisions, by session, in the order they came. */
function bySession(lines: readonly Line[]): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const { sessionId, event } of lines) {
    const revisions = found.get(sessionId) ?? [];
    found.set(sessionId, revisions);
    revisions.push(event.revision);
  }
  return found;
}

/** Every event of every session, once and in order, when repetitions are left out. */
function expectAll(lines: readonly Line[], args: { sessions: number; last: number }) {
  const { sessions, last } = args;
  const found = bySession(lines);
  expect(found.size).toBe(sessions);
  for (const revisions of found.values()) {
    const seen = new Set<number>();
    const firsts = revisions.filter((revision) => !seen.has(revision) && seen.add(revision));
    expect(firsts).toEqual(Array.from({ length: last }, (_, index) => index + 1));
  }
}

/** A collector that can be away. */
class Collector implements AsyncDisposable {
  readonly received: Line[] = [];
  batches = 0;
  /** Milliseconds it takes for a batch. */
  delayMs = 0;
  #server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { data } = JSON.parse(Buffer.concat(chunks).toString()) as { data: Line[] };
    if (this.delayMs > 0) await sleep(this.delayMs);
    this.received.push(...data);
    this.batches++;
    response.writeHead(204).end();
  });
  port = 0;

  async up(): Promise<void> {
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
    ({ port: this.port } = this.#server.address() as AddressInfo);
  }

  async down(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/events`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.down();
  }
}

describe("a collector that is down for ten thousand events", () => {
  const load = { sessions: 20, batches: 400, events: 25, text: "y".repeat(2_000) };

  it("gets each at least once and in order, over a kill, and costs no memory", async () => {
    await using collector = new Collector();
    await collector.up();
    await collector.down();
    const args = await withSinks({ hook: { type: "webhook", url: collector.url } });
    // Stripping types takes 10 MB, which a server spares whose every file was compiled before.
    const env = { ...collectable, NODE_DISABLE_COMPILE_CACHE: "1" };
    await using control = await startServer({ data: join(folder, "control"), env });
    const data = join(folder, "data");
    {
      await using server = await startServer({ data, args, env });
      await Promise.all([appendAll(server, load), appendAll(control, load)]);
      expect(server.stderr()).toContain("a sink fails; it is tried again and again");
      // Kept in memory, the events would take more than 20 MB in texts alone.
      const [live, without] = [await liveMemory(server), await liveMemory(control)];
      expect(live.liveBytes - without.liveBytes).toBeLessThan(8 * 1024 ** 2);
      expect(
        server
          .stderr()
          .split("\n")
          .filter((line) => line.includes("a sink")).length,
      ).toBe(1);
    }
    // Killed by the scope. It comes back, and is killed once more while it catches up.
    collector.delayMs = 150;
    await collector.up();
    let before: Line[];
    {
      await using server = await startServer({ data, args });
      await eventually(() => expect(collector.batches).toBeGreaterThan(12), { timeout: 30_000 });
      await server.kill("SIGKILL");
      before = [...collector.received];
    }
    collector.delayMs = 0;
    await using server = await startServer({ data, args });
    const last = lengthOf(load);
    await eventually(
      () => expect(new Set(collector.received.map(keyOf)).size).toBe(load.sessions * last),
      { timeout: 30_000 },
    );
    expectAll(collector.received, { sessions: load.sessions, last });
    // Twice came only what had come last before the kill.
    const again = new Set(collector.received.slice(before.length).map(keyOf));
    const isTwice = before.map((line) => again.has(keyOf(line)));
    const from = isTwice.indexOf(true);
    expect(from).not.toBe(0);
    expect(isTwice.slice(from === -1 ? before.length : from).every(Boolean)).toBe(true);
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
  }, 120_000);

  it("gets nothing twice over a restart in order", async () => {
    await using collector = new Collector();
    await collector.up();
    const args = await withSinks({ hook: { type: "webhook", url: collector.url } });
    const small = { sessions: 4, batches: 40, events: 5 };
    for (const first of [0, 40]) {
      await using server = await startServer({ data: join(folder, "data"), args });
      await appendAll(server, { ...small, first });
      // What was acknowledged is delivered before it ends.
      expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    }
    expect(collector.received).toHaveLength(4 * (1 + 20 * 5));
    expectAll(collector.received, { sessions: 4, last: 101 });
    // Content stays here unless somebody has said so.
    expect(JSON.stringify(collector.received)).not.toContain("xxxx");
  }, 60_000);
});

describe("--sink-stdout", () => {
  /** Starts a server whose stdout is a pipe that nobody reads yet. */
  async function stalled() {
    const fifo = join(folder, "stdout");
    expect(spawnSync("mkfifo", [fifo]).status).toBe(0);
    const reader = await open(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const server = await startServer({
      data: join(folder, "data"),
      args: ["--sink-stdout"],
      wrap: ["bash", "-c", `exec "$0" "$@" > "${fifo}"`],
    });
    return { server, reader, fifo };
  }

  const load = { sessions: 4, batches: 80, events: 25 };

  it("holds up nobody when its reader stalls, and goes on when that reads", async () => {
    const { server, reader, fifo } = await stalled();
    await using _ = server;
    await appendAll(server, load);
    // Opened before the other is closed, so that there is always a reader.
    const stream = createReadStream(fifo, { encoding: "utf8" });
    await once(stream, "open");
    await reader.close();
    let text = "";
    const last = lengthOf(load);
    for await (const chunk of stream) {
      text += chunk;
      if (text.split("\n").length > load.sessions * last) break;
    }
    const lines = text.trimEnd().split("\n");
    expectAll(
      lines.map((line) => JSON.parse(line) as Line),
      { sessions: 4, last },
    );
  }, 60_000);

  it("does not keep the server from ending when its reader stalls", async () => {
    const { server, reader } = await stalled();
    await using _ = server;
    await appendAll(server, load);
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    await reader.close();
  }, 60_000);

  it("ends alone when its reader goes away", async () => {
    const { server, reader } = await stalled();
    await using _ = server;
    await reader.close();
    await appendAll(server, { sessions: 1, batches: 1, events: 1 });
    await eventually(
      () => expect(server.stderr()).toContain("nobody reads stdout any more (EPIPE)"),
      { timeout: 20_000 },
    );
    await appendAll(server, load);
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
  }, 60_000);
});

it("a file is whole after a kill, and SIGHUP begins it anew", async () => {
  const path = join(folder, "log/events.jsonl");
  const args = await withSinks({ audit: { type: "file", path } });
  const load = { sessions: 4, batches: 100, events: 10 };
  {
    await using server = await startServer({ data: join(folder, "data"), args });
    const appended = appendAll(server, load).catch(() => {});
    await eventually(async () => expect((await readFile(path)).length).toBeGreaterThan(100_000), {
      timeout: 20_000,
    });
    await server.kill("SIGKILL");
    await appended;
  }
  await using server = await startServer({ data: join(folder, "data"), args });
  const { sessions } = await connect(server.address).sessions.listSessions({});
  const count = sessions.reduce((sum, { headRevision }) => sum + headRevision, 0);
  const linesIn = async (file: string) =>
    (await readFile(file, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
  const patience = { timeout: 20_000 };
  await eventually(
    async () => expect(new Set((await linesIn(path)).map(keyOf)).size).toBe(count),
    patience,
  );
  const old = join(folder, "log/old");
  await rename(path, old);
  process.kill(server.pid, "SIGHUP");
  await eventually(
    async () => expect(await readdir(join(folder, "log"))).toHaveLength(2),
    patience,
  );
  const { headRevision = 0 } = sessions.find(({ sessionId }) => sessionId === "s0") ?? {};
  await appendAll(server, { sessions: 1, batches: 1, events: 1 });
  // What the kill has it deliver again may still come before.
  const newest = { sessionId: "s0", event: { revision: headRevision + 1 } };
  await eventually(
    async () => expect((await linesIn(path)).at(-1)).toMatchObject(newest),
    patience,
  );
  expect(new Set((await linesIn(old)).map(keyOf)).size).toBe(count);
  expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
}, 60_000);
