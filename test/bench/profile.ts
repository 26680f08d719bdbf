import { EventService, WatchStart } from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { load, paced } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { readProfile, type TimeSpent } from "./support/profile-report.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench, Row } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { openWatches } from "./support/watches.ts";

const path = pathOf(EventService.method.appendEvents);
const warmUpMs = 2_000;
const profiledMs = 10_000;
const functionsShown = 25;

/** Loads a server for a time. */
type Work = (client: RawClient, durationMs: number) => Promise<unknown>;

interface Scenario {
  readonly what: string;
  readonly watchers: number;
  readonly work: Work;
}

const sessions = Array.from({ length: 64 }, (_, index) =>
  appendBytes({ sessionId: `s${index}`, events: [textEvent()] }),
);
const [watched = Buffer.alloc(0)] = sessions;
const watchedBatch = appendBytes({ sessionId: "s0", events: Array(25).fill(textEvent()) });

const scenarios: readonly Scenario[] = [
  {
    what: "appends to 64 sessions, 64 in flight",
    watchers: 0,
    work: (client, durationMs) =>
      load({
        inFlight: 64,
        durationMs,
        call: (index) => client.call(path, sessions[index % 64] ?? watched),
      }),
  },
  {
    what: "one writer at 1,000 events/s, 100 watchers",
    watchers: 100,
    work: (client, durationMs) =>
      paced({ perSecond: 1_000, durationMs, call: () => client.call(path, watched) }),
  },
  {
    what: "one writer with 64 batches of 25 in flight, 100 watchers",
    watchers: 100,
    work: (client, durationMs) =>
      load({ inFlight: 64, durationMs, call: () => client.call(path, watchedBatch) }),
  },
];

/**
 * Where the server's main thread spends its time under load.
 *
 * The profiler itself slows the server down, so look at shares here and not at rates. Not shown:
 * the thread that counts tokens, and those that write to the disk.
 */
export const profileBench: Bench = async (report) => {
  for (const scenario of scenarios) {
    const spent = await profile(scenario);
    report.table(`self time by area: ${scenario.what}`, rowsOf(spent, spent.byArea, "area"));
    report.table(
      `self time by function: ${scenario.what}`,
      rowsOf(spent, spent.byFunction, "function").slice(0, functionsShown),
    );
  }
};

async function profile({ watchers, work }: Scenario): Promise<TimeSpent> {
  await using data = await tempFolder();
  await using profiles = await tempFolder();
  await using server = await startServer({
    data: data.path,
    env: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles.path}` },
  });
  using client = new RawClient(server.address);
  await client.call(path, watched);
  using watches = await openWatches({
    address: server.address,
    requests: Array(watchers).fill({ sessionId: "s0", start: WatchStart.NOW }),
    connections: watchers,
  });
  await work(client, warmUpMs);
  const startUs = nowUs();
  await work(client, profiledMs);
  const endUs = nowUs();
  watches[Symbol.dispose]();
  // It writes its profile when it ends in order.
  await server.kill("SIGTERM");
  return readProfile(profiles.path, { startUs, endUs });
}

function nowUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

function rowsOf({ totalMs }: TimeSpent, times: ReadonlyMap<string, number>, name: string): Row[] {
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .map(([what, ms]) => ({ [name]: what, "%": ((100 * ms) / totalMs).toFixed(1) }));
}
