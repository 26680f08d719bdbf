import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { Sessiond, type SessionEvent } from "@sessiond/client";
import { get_encoding } from "tiktoken";
import { startServer } from "../../support/server-process.ts";
import { countedText, factsOfRun, factsOfSession, toEvents } from "./facts.ts";
import { loadRuns, type Run } from "./runs.ts";

/** What the demo found. */
export interface Report {
  readonly source: string;
  readonly runs: number;
  readonly messages: number;
  readonly events: number;
  /** Events that were acknowledged when the server was killed. */
  readonly eventsAtKill: number;
  readonly sessionsEqual: number;
  readonly watched: number;
  /** Events that the watch repeated, left out or gave out of order. */
  readonly watchFaults: number;
  readonly tokensCounted: number;
  readonly tokensRecounted: number;
  readonly sessionsWithOtherTokens: number;
  readonly elapsedMs: number;
}

/** Runs that are imported side by side. */
const importers = 16;
/** A crash is an everyday matter here: everybody goes on until the server is back. */
const retry = {
  attempts: Number.POSITIVE_INFINITY,
  watchAttempts: Number.POSITIVE_INFINITY,
  maxMs: 200,
};

/**
 * Appends recorded runs as sessions while a namespace watch follows, kills the server in the
 * middle, starts it again, and compares what is there with what went in.
 */
export async function runDemo(say: (line: string) => void): Promise<Report> {
  const startMs = performance.now();
  const { runs, source } = loadRuns();
  const data = await mkdtemp(join(tmpdir(), "sessiond-demo-"));
  let server = await startServer({ data });
  try {
    const { address } = server;
    await using sessiond = new Sessiond({ address, retry });
    const watched = new Map<string, SessionEvent[]>();
    const leave = new AbortController();
    const watching = follow(sessiond, watched, leave.signal);

    const inAll = runs.flatMap(({ messages }) => messages).flatMap(toEvents).length;
    let acknowledged = 0;
    let eventsAtKill = 0;
    const halfway = Promise.withResolvers<void>();
    const importing = importAll(sessiond, runs, (events) => {
      acknowledged += events;
      if (acknowledged >= inAll / 2) halfway.resolve();
    });
    await Promise.race([halfway.promise, importing]);
    eventsAtKill = acknowledged;
    await server.kill("SIGKILL");
    say(`server killed with SIGKILL after ${eventsAtKill} acknowledged events, and started again`);
    server = await startServer({ data, port: Number(address.split(":").at(-1)) });
    await importing;

    const logs = new Map<string, SessionEvent[]>();
    for (const { sessionId } of runs) {
      const session = await sessiond.sessions.get(sessionId);
      logs.set(sessionId, await Array.fromAsync(session.events()));
    }
    const stored = [...logs.values()].reduce((sum, log) => sum + log.length, 0);
    await until(() => count(watched) >= stored, "the watch did not see every event");
    leave.abort();
    await watching;
    return {
      source,
      runs: runs.length,
      messages: runs.flatMap(({ messages }) => messages).length,
      events: stored,
      eventsAtKill,
      watched: count(watched),
      watchFaults: countFaults(watched, logs),
      ...compare(runs, logs),
      elapsedMs: performance.now() - startMs,
    };
  } finally {
    await server[Symbol.asyncDispose]();
    await rm(data, { recursive: true, force: true });
  }
}

async function follow(
  sessiond: Sessiond,
  watched: Map<string, SessionEvent[]>,
  signal: AbortSignal,
): Promise<void> {
  for await (const { sessionId, event } of sessiond.watch({ signal })) {
    const log = watched.get(sessionId);
    if (log) log.push(event);
    else watched.set(sessionId, [event]);
  }
}

async function importAll(
  sessiond: Sessiond,
  runs: readonly Run[],
  onAppended: (events: number) => void,
): Promise<void> {
  const waiting = [...runs];
  const importer = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const session = await sessiond.sessions.create({ sessionId: run.sessionId, agentId: "demo" });
      for (const message of run.messages) {
        const events = toEvents(message);
        await session.append(events);
        onAppended(events.length);
      }
      await session.end();
    }
  };
  await Promise.all(Array.from({ length: importers }, importer));
}

function compare(runs: readonly Run[], logs: ReadonlyMap<string, readonly SessionEvent[]>) {
  const encoding = get_encoding("o200k_base");
  let sessionsEqual = 0;
  let tokensCounted = 0;
  let tokensRecounted = 0;
  let sessionsWithOtherTokens = 0;
  for (const { sessionId, messages } of runs) {
    const log = logs.get(sessionId) ?? [];
    const facts = factsOfRun(messages);
    if (isDeepStrictEqual(factsOfSession(log), facts)) sessionsEqual++;
    const counted = sum(log.map(({ message }) => message.tokens?.count ?? 0));
    const recounted = sum(facts.map((fact) => encoding.encode_ordinary(countedText(fact)).length));
    if (counted !== recounted) sessionsWithOtherTokens++;
    tokensCounted += counted;
    tokensRecounted += recounted;
  }
  encoding.free();
  return { sessionsEqual, tokensCounted, tokensRecounted, sessionsWithOtherTokens };
}

function countFaults(
  watched: ReadonlyMap<string, readonly SessionEvent[]>,
  logs: ReadonlyMap<string, readonly SessionEvent[]>,
): number {
  let faults = 0;
  for (const [sessionId, log] of logs) {
    const seen = watched.get(sessionId) ?? [];
    faults += Math.abs(seen.length - log.length);
    faults += seen.filter((event, index) => !isDeepStrictEqual(event, log[index])).length;
  }
  return faults;
}

function count(watched: ReadonlyMap<string, readonly SessionEvent[]>): number {
  return sum([...watched.values()].map((log) => log.length));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

async function until(holds: () => boolean, otherwise: string): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(otherwise);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
