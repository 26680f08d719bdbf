import { setTimeout as sleep } from "node:timers/promises";
import { EventService, WatchStart } from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { type Load, load, median, paced } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { startWatchers, type WatcherTask } from "./support/watcher-process.ts";

const path = pathOf(EventService.method.appendEvents);
const rounds = 5;
const durationMs = 3_000;
/** Turns of an agent follow each other slowly; at this rate a fan-out is done before the next. */
const slowPerSecond = 40;
const stalledReaders = 200;
/** After opening; the watchers' process and its garbage come to rest. */
const settleMs = 1_000;

type Requests = WatcherTask["requests"];

interface Variant {
  /** Empty: the process of the watchers runs all the same, with nothing to do. */
  readonly requests: Requests;
  readonly reads: boolean;
}

interface Round {
  readonly oneAtATime: Load;
  readonly slow: Load;
}

/**
 * What open watches cost an append: none, a thousand elsewhere, on the appended session, on the
 * namespace, and readers that do not read. Rounds take turns.
 *
 * The watchers are a process of their own with ten connections. Server, watchers and writer share
 * the machine's cores, so where watches get events the reading is a part of what is measured.
 */
export const watchCostBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path });
  using client = new RawClient(server.address);
  const others = sessionIds(100, "other");
  await fill(client, { sessionIds: [...others, "written"], eventsEach: 10 });
  const append = appendBytes({ sessionId: "written", events: [textEvent()] });
  const call = () => client.call(path, append);

  const now = WatchStart.NOW;
  const ofOthers = others.flatMap(
    (sessionId): Requests => Array(10).fill({ sessionId, start: now }),
  );
  const ofWritten = { sessionId: "written", start: now };
  const variants: Readonly<Record<string, Variant>> = {
    "no watch": { requests: [], reads: true },
    "1,000 watches of other sessions": { requests: ofOthers, reads: true },
    "a namespace watch": { requests: [{ start: now }], reads: true },
    [`${stalledReaders} stalled readers of the session`]: {
      requests: Array(stalledReaders).fill(ofWritten),
      reads: false,
    },
    "1,000 watches of the session": { requests: Array(1_000).fill(ofWritten), reads: true },
  };
  const results = new Map(Object.keys(variants).map((name) => [name, [] as Round[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, variant] of Object.entries(variants)) {
      const task = { ...variant, address: server.address, connections: 10 };
      await using _watchers = await startWatchers(task);
      await sleep(settleMs);
      const oneAtATime = await load({ inFlight: 1, durationMs, call });
      const slow = await paced({ perSecond: slowPerSecond, durationMs, call });
      if (round > 0) results.get(name)?.push({ oneAtATime, slow });
    }
  }
  const without = results.get("no watch") ?? [];
  const ratio = (runs: readonly Round[], p99: (round: Round) => number) =>
    median(runs.map((round, i) => p99(round) / (without[i] ? p99(without[i]) : Number.NaN)));
  report.table(
    `an append while watches are open, one at a time and ${slowPerSecond} a second`,
    [...results].map(([name, runs]) => ({
      watches: name,
      "p50 ms": median(runs.map(({ oneAtATime }) => oneAtATime.p50Ms)).toFixed(2),
      "p99 ms": median(runs.map(({ oneAtATime }) => oneAtATime.p99Ms)).toFixed(2),
      "of none": ratio(runs, ({ oneAtATime }) => oneAtATime.p99Ms).toFixed(2),
      "slow p50 ms": median(runs.map(({ slow }) => slow.p50Ms)).toFixed(2),
      "slow p99 ms": median(runs.map(({ slow }) => slow.p99Ms)).toFixed(2),
      "slow of none": ratio(runs, ({ slow }) => slow.p99Ms).toFixed(2),
    })),
  );
};
