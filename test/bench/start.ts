import { spawn } from "node:child_process";
import { once } from "node:events";
import { EventService } from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { buildBundle } from "./support/bundle.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { median } from "./support/load.ts";
import { appendBytes, textEvent, uncountedEvent } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const rounds = 7;
const eventsEach = 1_000;
const appendPath = pathOf(EventService.method.appendEvents);
const healthPath = "/grpc.health.v1.Health/Check";
/** A HealthCheckResponse whose status is SERVING. */
const serving = Buffer.from([0x08, 0x01]);

/** How the server is started, and on what. */
interface Variant {
  readonly data: string;
  readonly wrap?: readonly string[];
}

interface Start {
  readonly listeningMs: number;
  readonly servingMs: number;
  readonly appendedMs: number;
}

/**
 * From starting the process to its first answers: the production bundle with an empty store, with
 * 100,000 and with 1,000,000 events; and for comparison the sources, whose modules are loaded one
 * by one and stripped of their types, and node itself.
 *
 * The server is killed in between, so a start includes the recovery. "Serving" is the first answer
 * of the health service over a new connection. Files are in the page cache of the system. Not
 * measured: the start from a cold disk.
 */
export const startBench: Bench = async (report) => {
  await using bundle = await buildBundle();
  await using empty = await tempFolder();
  await using some = await filled(100_000);
  await using many = await filled(1_000_000);
  const { wrap } = bundle;
  const variants: Readonly<Record<string, Variant>> = {
    "bundle, empty store": { data: empty.path, wrap },
    "bundle, 100,000 events": { data: some.path, wrap },
    "bundle, 1,000,000 events": { data: many.path, wrap },
    "sources, empty store": { data: empty.path },
    "sources, 1,000,000 events": { data: many.path },
  };
  const bare: number[] = [];
  const results = new Map(Object.keys(variants).map((name) => [name, [] as Start[]]));
  for (let round = 0; round <= rounds; round++) {
    const nodeMs = await bareNode();
    // The first round brings the files into memory.
    if (round > 0) bare.push(nodeMs);
    for (const [name, variant] of Object.entries(variants)) {
      const result = await start(variant);
      if (round > 0) results.get(name)?.push(result);
    }
  }
  const row = (what: string, ms: readonly number[]) => ({
    what,
    listening: median(ms).toFixed(0),
    slowest: Math.max(...ms).toFixed(0),
  });
  report.table(`ms from starting the process, medians of ${rounds} starts`, [
    { ...row("node alone", bare), serving: "", appended: "" },
    ...[...results].map(([name, runs]) => ({
      ...row(
        name,
        runs.map(({ listeningMs }) => listeningMs),
      ),
      serving: median(runs.map(({ servingMs }) => servingMs)).toFixed(0),
      appended: median(runs.map(({ appendedMs }) => appendedMs)).toFixed(0),
    })),
  ]);
};

async function start({ data, wrap = [] }: Variant): Promise<Start> {
  const startMs = performance.now();
  await using server = await startServer({ data, wrap });
  const listeningMs = performance.now() - startMs;
  using client = new RawClient(server.address);
  const health = await client.call(healthPath, Buffer.alloc(0));
  if (!health.equals(serving)) throw new Error(`health says ${health.toString("hex")}`);
  const servingMs = performance.now() - startMs;
  // Its tokens are counted, so it waits for the tokenizer.
  await client.call(appendPath, appendBytes({ sessionId: "session-0", events: [textEvent()] }));
  return { listeningMs, servingMs, appendedMs: performance.now() - startMs };
}

/** A store with so many events in sessions of a thousand. */
async function filled(events: number) {
  await using made = new AsyncDisposableStack();
  const data = made.use(await tempFolder());
  await using server = await startServer({ data: data.path });
  using client = new RawClient(server.address);
  const startMs = performance.now();
  // Counting a million texts would take longer than storing them.
  const ids = sessionIds(events / eventsEach);
  await fill(client, { sessionIds: ids, eventsEach, event: uncountedEvent() });
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  process.stderr.write(`stored ${events.toLocaleString("en")} events in ${seconds} s\n`);
  made.move();
  return data;
}

async function bareNode(): Promise<number> {
  const startMs = performance.now();
  await once(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }), "exit");
  return performance.now() - startMs;
}
