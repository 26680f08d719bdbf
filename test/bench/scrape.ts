import { EventService } from "@sessiond/contract";
import { AppMetrics } from "../../src/app-metrics.ts";
import type { Committed } from "../../src/store/store.ts";
import { observer } from "../../src/transport/call-observer.ts";
import { openTestDomain, userText } from "../support/domain.ts";
import { scrape } from "../support/scrape.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { buildBundle } from "./support/bundle.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { load, median, quantile } from "./support/load.ts";
import { appendBytes, textEvent, uncountedEvent } from "./support/messages.ts";
import { cpuMs } from "./support/process-stats.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const path = pathOf(EventService.method.appendEvents);
const sessions = 10_000;
const scrapes = 200;
/** Many and short, so that what else the machine does weighs on both servers alike. */
const rounds = 80;
const durationMs = 250;
const countingRounds = 9;
const countings = 200_000;
const warmUpMs = 1_000;

/**
 * What it costs to be measured, with the production bundle: a scrape over 10,000 sessions and all
 * calls and caches in use, what is done for the numbers of an append, and an append with a probe port
 * beside one without, which counts nothing. On a busy machine the last says least.
 *
 * Servers of both kinds take turns, and a ratio is the median of the rounds' ratios; the order of the
 * two changes from round to round. Server and load share the machine's cores. Not measured: what an
 * append costs while a scrape is written.
 */
export const scrapeBench: Bench = async (report) => {
  await using bundle = await buildBundle();
  const { wrap } = bundle;
  await using data = await tempFolder();
  await fillFolder(data.path);
  {
    await using server = await startServer({ data: data.path, wrap, args: withProbe });
    const { probe } = server;
    const startMs = performance.now();
    const first = await timed(() => scrape(probe));
    let counted = first.value;
    while (counted.value('sessiond_sessions{state="active"}') !== sessions) {
      counted = await scrape(probe);
    }
    const countedMs = performance.now() - startMs;
    const each: number[] = [];
    for (let n = 0; n < scrapes; n++) each.push((await timed(() => scrape(probe))).ms);
    report.table(`a scrape over ${sessions} sessions`, [
      {
        "first ms": first.ms.toFixed(1),
        "p50 ms": median(each).toFixed(2),
        "p99 ms": quantile(each, 0.99).toFixed(2),
        KiB: (counted.text.length / 1_024).toFixed(0),
        "sessions are counted after ms": countedMs.toFixed(0),
      },
    ]);
  }
  report.table("the numbers of one append, alone", [
    { µs: (await countingUs()).toFixed(2), rounds: countingRounds, "appends each": countings },
  ]);
  await using withIt = await tempFolder();
  await using without = await tempFolder();
  await using measured = await startServer({ data: withIt.path, wrap, args: withProbe });
  await using plain = await startServer({ data: without.path, wrap });
  const inFlights = [1, 64];
  const rows = [];
  for (const inFlight of inFlights) rows.push(await compare({ measured, plain, inFlight }));
  report.table(`an append that is measured, ${rounds} rounds`, rows);
};

interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly cpuUs: number;
}

const withProbe = ["--probe-listen", "127.0.0.1:0"];

async function compare(args: { measured: ServerProcess; plain: ServerProcess; inFlight: number }) {
  const { measured, plain, inFlight } = args;
  const bytes = appendBytes({ sessionId: "one", events: [textEvent()] });
  const run = async (server: ServerProcess, durationMs: number): Promise<Round> => {
    using client = new RawClient(server.address);
    const beforeMs = cpuMs(server.pid);
    const call = () => client.call(path, bytes);
    const { perSecond, p50Ms } = await load({ inFlight, durationMs, call });
    const calls = (perSecond * durationMs) / 1_000;
    return { perSecond, p50Ms, cpuUs: ((cpuMs(server.pid) - beforeMs) * 1_000) / calls };
  };
  for (const server of [measured, plain]) await run(server, warmUpMs);
  const pairs: { a: Round; b: Round }[] = [];
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? [measured, plain] : [plain, measured];
    const results = new Map<ServerProcess, Round>();
    for (const server of order) results.set(server, await run(server, durationMs));
    const [a, b] = [results.get(measured), results.get(plain)];
    if (a !== undefined && b !== undefined) pairs.push({ a, b });
  }
  const middle = (of: (pair: (typeof pairs)[number]) => number) => median(pairs.map(of));
  return {
    "in flight": inFlight,
    "calls/s": Math.round(middle(({ a }) => a.perSecond)),
    without: Math.round(middle(({ b }) => b.perSecond)),
    ratio: middle(({ a, b }) => a.perSecond / b.perSecond).toFixed(3),
    "p50 ms": middle(({ a }) => a.p50Ms).toFixed(3),
    "without ": middle(({ b }) => b.p50Ms).toFixed(3),
    "CPU µs/call more": middle(({ a, b }) => a.cpuUs - b.cpuUs).toFixed(1),
  };
}

/** All that is done for the numbers of one append, without the append. */
async function countingUs(): Promise<number> {
  const committed: Committed[] = [];
  await using domain = await openTestDomain();
  domain.store.onCommit((one) => committed.push(one));
  await domain.append({ sessionId: "s", createIfMissing: true, events: [userText("a")] });
  await domain.append({ sessionId: "s", events: [userText("b")] });
  const append = committed.at(-1);
  if (append === undefined) throw new Error("nothing was committed");
  const metrics = new AppMetrics();
  const listeners: ((committed: Committed) => void)[] = [];
  const onCommit = (listener: (committed: Committed) => void) => {
    listeners.push(listener);
    return () => {};
  };
  metrics.observeStore({ onCommit, records: domain.store.records.bind(domain.store) });
  const { ofCalls, ofTokens, ofWrites } = metrics;
  const observe = observer(ofCalls.onCallEnd);
  const each: number[] = [];
  for (let round = 0; round < countingRounds; round++) {
    const startMs = performance.now();
    for (let n = 0; n < countings; n++) {
      const ended = observe(EventService.method.appendEvents, "unary");
      ofTokens.onCounted({ exact: 1, estimated: 0, seconds: 0.000_1 });
      ofWrites.observer.written(0.002);
      for (const listener of listeners) listener(append);
      ended();
    }
    each.push(((performance.now() - startMs) * 1_000) / countings);
  }
  return median(each);
}

async function fillFolder(data: string): Promise<void> {
  await using server = await startServer({ data });
  using client = new RawClient(server.address);
  const ids = sessionIds(sessions);
  await fill(client, { sessionIds: ids, eventsEach: 1, event: uncountedEvent() });
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startMs = performance.now();
  const value = await work();
  return { value, ms: performance.now() - startMs };
}
