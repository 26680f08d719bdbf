import { EventService } from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { at, type Call, type Load, load, median } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { cpuMs } from "./support/process-stats.ts";
import { createQuietSession } from "./support/quiet-session.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { startEcho } from "./support/yardsticks.ts";

const path = pathOf(EventService.method.appendEvents);
const rounds = 5;
const durationMs = 2_000;
const warmUpMs = 1_000;

interface Variant {
  readonly inFlight: number;
  readonly pid: number;
  readonly call: Call;
}

/** A round, and the CPU time the server spent on one call, in all threads. */
interface Round extends Load {
  readonly cpuUs: number;
}

/**
 * Durable appends of one typical message, against a bare grpc-js echo of the same bytes.
 *
 * All but the sessions of one row do not compact by themselves. Server and load share the machine's cores,
 * in both cases. Rounds of all variants take turns, and a ratio is the median of the rounds' ratios. Not
 * measured: several connections.
 */
export const appendBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using echo = await startEcho();
  await using server = await startServer({ data: data.path });
  using echoClient = new RawClient(echo.address);
  using client = new RawClient(server.address);
  const one = appendBytes({ sessionId: "one", events: [textEvent()] });
  const sessions = Array.from({ length: 64 }, (_, index) => `s${index}`);
  for (const sessionId of ["one", "ids", ...sessions]) await createQuietSession(client, sessionId);
  const toSessions = (prefix = "") =>
    sessions.map((id) => appendBytes({ sessionId: `${prefix}${id}`, events: [textEvent()] }));
  let requests = 0;
  const withId = () => appendBytes({ ...oneEvent, requestId: `request ${requests++}` });
  const oneEvent = { sessionId: "ids", events: [textEvent()] };
  const toEcho = { pid: echo.pid, call: () => echoClient.call(path, one) };
  const toOne = { pid: server.pid, call: () => client.call(path, one) };
  const toMany = (appends: readonly Buffer[]) => ({
    pid: server.pid,
    call: (index: number) => client.call(path, at(appends, index)),
  });
  const toIds = { pid: server.pid, call: () => client.call(path, withId()) };

  const variants: Readonly<Record<string, Variant>> = {
    "echo, 64 in flight": { ...toEcho, inFlight: 64 },
    "append to 64 sessions, 64 in flight": { ...toMany(toSessions()), inFlight: 64 },
    "and these compact, 64 in flight": { ...toMany(toSessions("compacting ")), inFlight: 64 },
    "append to one session, 64 in flight": { ...toOne, inFlight: 64 },
    "append with request ids, 64 in flight": { ...toIds, inFlight: 64 },
    "echo, one at a time": { ...toEcho, inFlight: 1 },
    "append, one at a time": { ...toOne, inFlight: 1 },
  };
  const results = new Map(Object.keys(variants).map((name) => [name, [] as Round[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, variant] of Object.entries(variants)) {
      const result = await run(variant, round === 0 ? warmUpMs : durationMs);
      if (round > 0) results.get(name)?.push(result);
    }
  }
  const ratio = (runs: readonly Round[], to: string) => {
    const echoes = results.get(to) ?? [];
    return median(runs.map(({ perSecond }, i) => perSecond / (echoes[i]?.perSecond ?? 1)));
  };
  report.table(
    "durable append of a 58-token message (fsync, tokens counted)",
    [...results].map(([name, runs]) => ({
      what: name,
      "calls/s": Math.round(median(runs.map(({ perSecond }) => perSecond))),
      "of echo": ratio(
        runs,
        name.endsWith("64 in flight") ? "echo, 64 in flight" : "echo, one at a time",
      ).toFixed(2),
      "p50 ms": median(runs.map(({ p50Ms }) => p50Ms)).toFixed(2),
      "p99 ms": median(runs.map(({ p99Ms }) => p99Ms)).toFixed(2),
      "server CPU µs/call": Math.round(median(runs.map(({ cpuUs }) => cpuUs))),
    })),
  );
};

async function run({ inFlight, pid, call }: Variant, durationMs: number): Promise<Round> {
  let calls = 0;
  const beforeMs = cpuMs(pid);
  const result = await load({
    inFlight,
    durationMs,
    call: (index) => {
      calls++;
      return call(index);
    },
  });
  return { ...result, cpuUs: ((cpuMs(pid) - beforeMs) * 1_000) / calls };
}
