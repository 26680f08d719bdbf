import { join } from "node:path";
import { EventService } from "@sessiond/contract";
import { createClients } from "../../sdk/client/src/clients.ts";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";
import { verifyStore } from "../../src/domain/upkeep/verify/verify.ts";
import { LmdbStore } from "../../src/store/lmdb/lmdb-store.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { type Load, median, paced } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench, Row } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const path = pathOf(EventService.method.appendEvents);
const sessions = 1_000;
const eventsEach = 100;
const rounds = 3;
const durationMs = 10_000;
const appendsPerSecond = 200;

/**
 * How fast a verify is on a store that nobody else uses, and how appends fare while a verify or a
 * backup runs beside them: 200 a second, each timed from when it was due.
 *
 * Rounds with and without take turns, and a ratio is the median of the rounds' ratios. Server and load
 * share the machine's cores. Not measured: logs of sessions that are much longer, a cold page cache.
 */
export const verifyBench: Bench = async (report) => {
  await using data = await tempFolder();
  const ids = sessionIds(sessions);
  {
    await using server = await startServer({ data: data.path });
    using client = new RawClient(server.address);
    await fill(client, { sessionIds: ids, eventsEach, batchEvents: 10 });
    await server.kill("SIGTERM");
  }
  report.table(
    `verify of ${sessions} sessions with ${eventsEach} events each`,
    await alone(data.path),
  );
  await using backups = await tempFolder();
  await using server = await startServer({ data: data.path });
  report.table(
    `appends beside it, ${appendsPerSecond} a second`,
    await beside(server, backups.path),
  );
};

async function alone(path: string): Promise<Row[]> {
  await using store = await LmdbStore.open({ path });
  const rates: { events: number; records: number; seconds: number }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const startMs = performance.now();
    for await (const { case: kind, value } of verifyStore(store, new AbortController().signal)) {
      if (kind !== "summary" || round === 0) continue;
      if (value.findings > 0) throw new Error(`${value.findings} findings`);
      const seconds = (performance.now() - startMs) / 1_000;
      rates.push({ events: Number(value.events), records: Number(value.records), seconds });
    }
  }
  return [
    {
      what: "offline",
      "events/s": Math.round(median(rates.map(({ events, seconds }) => events / seconds))),
      "records/s": Math.round(median(rates.map(({ records, seconds }) => records / seconds))),
      seconds: median(rates.map(({ seconds }) => seconds)).toFixed(2),
    },
  ];
}

async function beside(server: ServerProcess, folder: string): Promise<Row[]> {
  const transport = createGrpcTransport({ address: server.address });
  const clients = createClients(transport);
  using client = new RawClient(server.address);
  const requests = Array.from({ length: 64 }, (_, index) =>
    appendBytes({ sessionId: `load-${index}`, createIfMissing: true, events: [textEvent()] }),
  );
  let backups = 0;
  const operations = {
    nothing: undefined,
    verify: (signal: AbortSignal) => clients.server.verify({}, { signal }),
    backup: (signal: AbortSignal) => {
      return clients.server.backup({ path: join(folder, `${backups++}`) }, { signal });
    },
  };
  const appends = () =>
    paced({
      perSecond: appendsPerSecond,
      durationMs,
      call: (index) => client.call(path, requests[index % requests.length] ?? Buffer.of()),
    });
  const results = new Map<string, Load[]>(Object.keys(operations).map((name) => [name, []]));
  const taken: Record<string, number[]> = { verify: [], backup: [] };
  await appends();
  for (let round = 0; round < rounds; round++) {
    for (const [name, operation] of Object.entries(operations)) {
      const stop = new AbortController();
      const work = operation && again(operation, stop.signal, taken[name] ?? []);
      results.get(name)?.push(await appends());
      stop.abort();
      await work;
    }
  }
  transport.close();
  const quiet = results.get("nothing") ?? [];
  const ratio = (loads: readonly Load[], of: (load: Load) => number) =>
    median(loads.map((load, index) => of(load) / of(quiet[index] ?? load))).toFixed(2);
  return [...results].map(([name, loads]) => ({
    beside: name,
    "p50 ms": median(loads.map(({ p50Ms }) => p50Ms)).toFixed(2),
    "p99 ms": median(loads.map(({ p99Ms }) => p99Ms)).toFixed(2),
    "p50 ratio": ratio(loads, ({ p50Ms }) => p50Ms),
    "p99 ratio": ratio(loads, ({ p99Ms }) => p99Ms),
    "seconds it took": name === "nothing" ? "" : median(taken[name] ?? []).toFixed(2),
  }));
}

/** Does it over and over until the signal; notes how long each took that came to its end. */
async function again(
  operation: (signal: AbortSignal) => AsyncIterable<unknown>,
  signal: AbortSignal,
  taken: number[],
): Promise<void> {
  while (!signal.aborted) {
    const startMs = performance.now();
    try {
      for await (const _ of operation(signal)) if (signal.aborted) break;
      if (!signal.aborted) taken.push((performance.now() - startMs) / 1_000);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
