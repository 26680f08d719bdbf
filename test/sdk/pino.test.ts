import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Sessiond, UsageError } from "@sessiond/client";
import sessionLog, { droppedType, type LogOptions, logType } from "@sessiond/client/pino";
import { pino } from "pino";
import { expect, test } from "vitest";
import { toSettings } from "../../sdk/client/src/pino/log-options.ts";
import { LogSender } from "../../sdk/client/src/pino/log-sender.ts";
import { LogStream } from "../../sdk/client/src/pino/log-stream.ts";
import { openTestApp } from "../support/app.ts";
import { startServer } from "../support/server-process.ts";

const sessionId = "run-7-log";
const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

/** What a session has of log lines: type and value, in order. */
async function logOf(address: string): Promise<[string, unknown][]> {
  await using sessiond = new Sessiond(address);
  const log: [string, unknown][] = [];
  const session = await sessiond.sessions.get(sessionId);
  for await (const { message } of session.events({ pageSize: 1_000 })) {
    const { payload } = message;
    if (payload.case !== "custom") continue;
    const { type, value } = payload.value;
    log.push([type, value && toJson(ValueSchema, value)]);
  }
  return log;
}

const textsOf = (log: readonly [string, unknown][]) =>
  log.map(([type, value]) => (type === logType ? (value as { msg: string }).msg : value));

const upTo = (count: number) => Array.from({ length: count }, (_, i) => `line ${i}`);

/** Ends a stream that is used without a worker thread. */
async function end(stream: ReturnType<typeof sessionLog>): Promise<void> {
  stream.end();
  await once(stream, "close");
}

/** The same without stderr. */
function logWith(options: LogOptions) {
  const warnings: string[] = [];
  const settings = toSettings(options);
  const sender = new LogSender({ settings, warn: (text) => void warnings.push(text) });
  return { stream: new LogStream({ sender, level: settings.level }), warnings };
}

test("Ordered: lines of pino become events of a session, whole and in order", async () => {
  await using app = await openTestApp();
  const stream = sessionLog({ sessionId, address: app.address });
  const logger = pino({ base: { agent: "travel" } }, stream);
  for (const line of upTo(1_234)) logger.info({ "a b": [1, null, { "☂": true }] }, line);
  await end(stream);
  const log = await logOf(app.address);
  expect(textsOf(log)).toEqual(upTo(1_234));
  expect(log[0]).toEqual([
    "log",
    {
      level: 30,
      time: expect.any(Number),
      agent: "travel",
      "a b": [1, null, { "☂": true }],
      msg: "line 0",
    },
  ]);
});

test("lines travel in batches, and a lone line does not wait for others for ever", async () => {
  await using app = await openTestApp();
  await using sessiond = new Sessiond(app.address);
  const session = await sessiond.sessions.create({ sessionId });
  const stream = sessionLog({ sessionId, address: app.address, batchMs: 1 });
  const logger = pino(stream);
  const watch = await session.watch({ from: "now" }).open();
  logger.info("alone");
  const { value } = await watch.next();
  expect(value?.message.payload.case).toBe("custom");
  for (const line of upTo(1_001)) logger.info(line);
  await stream.flush();
  // The events of one append have one time.
  const times = new Set<number>();
  for await (const { createTime } of session.events({ pageSize: 1_000 })) times.add(+createTime);
  expect(times.size).toBeLessThanOrEqual(6);
  await end(stream);
});

test("a level keeps lines below it out, by its name or its number", async () => {
  await using app = await openTestApp();
  for (const level of ["warn", 40]) {
    const stream = sessionLog({ sessionId, address: app.address, level });
    const logger = pino({ level: "trace" }, stream);
    logger.debug("no");
    logger.warn("yes");
    const words = pino({ formatters: { level: (label) => ({ level: label }) } }, stream);
    words.info("no");
    words.error("yes");
    await end(stream);
  }
  expect(textsOf(await logOf(app.address))).toEqual(["yes", "yes", "yes", "yes"]);
});

test("a line that no structure can hold is kept as text, and none beside it is lost", async () => {
  await using app = await openTestApp();
  const stream = sessionLog({ sessionId, address: app.address });
  const deep = `${'{"a":'.repeat(60)}1${"}".repeat(60)}`;
  const lines = [
    '{"msg":"first"}',
    deep,
    "no JSON at all \ud800",
    '{"big":1e999}',
    `{"large":"${"x".repeat(1_048_560)}"}`,
    '{"msg":"\\ud800 half"}',
    "42",
    "",
    '{"__proto__":{"a":1},"":0}',
    `{"endless":"${"x".repeat(2 * 1024 * 1024)}"}`,
    '{"msg":"last"}',
  ];
  // In pieces that end anywhere, also within a character.
  const bytes = Buffer.from(lines.join("\n"));
  for (let at = 0; at < bytes.length; at += 65_521) stream.write(bytes.subarray(at, at + 65_521));
  await end(stream);
  const log = await logOf(app.address);
  expect(log.map(([type]) => type)).toEqual([
    ...Array.from({ length: 8 }, () => logType),
    droppedType,
    logType,
  ]);
  const values = log.map(([, value]) => value);
  expect(values[0]).toEqual({ msg: "first" });
  expect(values[1]).toBe(deep);
  expect(values[2]).toBe("no JSON at all \ufffd");
  expect(values[3]).toBe('{"big":null}');
  expect(values[4]).toMatch(/^\{"large":"x+$/);
  expect(values[5]).toEqual({ msg: "\ufffd half" });
  expect(values[6]).toBe(42);
  expect(values[8]).toEqual({ dropped: 1 });
  expect(values[9]).toEqual({ msg: "last" });
});

test("Unique: lines wait for a server that is killed, and are stored once when it is back", async () => {
  const data = await mkdtemp(join(tmpdir(), "sessiond-pino-"));
  let server = await startServer({ data });
  try {
    const { address, port } = server;
    const { stream, warnings } = logWith({ sessionId, address, batchLines: 7, batchMs: 1 });
    const logger = pino(stream);
    for (const line of upTo(500)) logger.info(line);
    await server.kill("SIGKILL");
    for (const line of upTo(500)) logger.info(line);
    server = await startServer({ data, port });
    await stream.flush();
    for (const line of upTo(3)) logger.info(line);
    await end(stream);
    expect(textsOf(await logOf(address))).toEqual([...upTo(500), ...upTo(500), ...upTo(3)]);
    expect(warnings.length).toBeGreaterThan(0);
    expect(new Set(warnings)).toEqual(
      new Set([
        `no sessiond at ${address}; start it with \`sessiond serve\`; lines wait until it is back`,
      ]),
    );
  } finally {
    await server[Symbol.asyncDispose]();
    await rm(data, { recursive: true });
  }
});

test("Bounded: what does not fit into the queue is counted where it is missing", async () => {
  const data = await mkdtemp(join(tmpdir(), "sessiond-pino-"));
  let server = await startServer({ data });
  try {
    const { address, port } = server;
    await server.kill("SIGKILL");
    const options = { sessionId, address, queueLines: 10, batchLines: 10, batchMs: 60_000 };
    const { stream, warnings } = logWith(options);
    const logger = pino(stream);
    // The first ten are a batch under way as soon as they are there; the queue has the next ten.
    for (const line of upTo(10)) logger.info(line);
    await new Promise((resolve) => setImmediate(resolve));
    for (const line of upTo(25)) logger.info(line);
    server = await startServer({ data, port });
    await stream.flush();
    logger.info("after");
    await end(stream);
    expect(textsOf(await logOf(address))).toEqual([
      ...upTo(10),
      ...upTo(10),
      { dropped: 15 },
      "after",
    ]);
    expect(warnings.filter((text) => text.includes("dropped"))).toEqual([
      "10 lines wait; further ones are dropped and counted",
    ]);
  } finally {
    await server[Symbol.asyncDispose]();
    await rm(data, { recursive: true });
  }
});

test("options that make no sense are refused by name", () => {
  const wrong = [
    {},
    { sessionId: "" },
    { sessionId, level: "loud" },
    { sessionId, batchLines: 1_001 },
    { sessionId, batchMs: 0 },
    { sessionId, address: "nowhere" },
  ];
  for (const options of wrong) {
    expect(() => sessionLog(options as { sessionId: string })).toThrow(UsageError);
  }
});

/** A program that logs, as users write it; gives what it wrote to stderr. */
async function program(address: string, code: string, more: object = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-pino-"));
  try {
    // pino looks for its transport from where the program is.
    await symlink(join(root, "node_modules"), join(folder, "node_modules"));
    const text = `
      import pino from "pino";
      const options = { sessionId: "${sessionId}", address: "${address}", ...${JSON.stringify(more)} };
      const logger = pino({ transport: { target: "@sessiond/client/pino", options } });
      ${code}`;
    await writeFile(join(folder, "program.mjs"), text);
    return (await run(process.execPath, [join(folder, "program.mjs")])).stderr;
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("in pino's worker thread, what was logged last before the end is stored", async () => {
  await using app = await openTestApp();
  const code = 'for (let i = 0; i < 3_000; i++) logger.info("line " + i);';
  expect(await program(app.address, code)).toBe("");
  expect(textsOf(await logOf(app.address))).toEqual(upTo(3_000));
  // The session is of the caller's making, or made for logs: nothing is compacted for nobody.
  await using sessiond = new Sessiond(app.address);
  const session = await sessiond.sessions.get(sessionId);
  expect(session.message.contextPolicy?.compaction?.manual).toBe(true);
});

test("in pino's worker thread, process.exit stores what was logged before it", async () => {
  await using app = await openTestApp();
  await program(app.address, 'logger.info("line 0"); process.exit(0);');
  expect(textsOf(await logOf(app.address))).toEqual(upTo(1));
});

test("a session that has ended stops the log with one warning, and not the program", async () => {
  await using app = await openTestApp();
  await using sessiond = new Sessiond(app.address);
  await (await sessiond.sessions.create({ sessionId })).end();
  const flush = "await new Promise((resolve) => logger.flush(resolve));";
  const code = `for (let i = 0; i < 5; i++) { logger.info("late"); ${flush} }`;
  expect(await program(app.address, code)).toBe(
    `sessiond log transport: session "${sessionId}" has ended; log lines from here on are not stored in it\n`,
  );
  expect(await logOf(app.address)).toEqual([]);
});

test("a server that is not there does not hold up the end of a program for long, which says what is lost", async () => {
  const stderr = await program("127.0.0.1:1", 'logger.info("a"); logger.info("b");', {
    flushTimeoutMs: 2_000,
  });
  expect(stderr).toContain("lines wait until it is back\n");
  expect(stderr).toContain("the server did not take 2 lines before the end; they are lost\n");
});
