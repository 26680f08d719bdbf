import { setTimeout as sleep } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { AppendEventsResponseSchema, EventService, WatchStart } from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { load, median, paced, quantile } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { cpuMs } from "./support/process-stats.ts";
import { createQuietSession } from "./support/quiet-session.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { openWatches } from "./support/watches.ts";
import { revisionOf, watchedEvents } from "./support/wire.ts";

const path = pathOf(EventService.method.appendEvents);
const rounds = 3;
const durationMs = 3_000;

interface Deliveries {
  readonly appendedPerSecond: number;
  readonly deliveredPerSecond: number;
  readonly cpuUs: number;
}

/**
 * One writer, and watchers of its session: how many deliveries a second, and how late they come.
 *
 * A delivery is one event at one watcher; the rate counts until the last watcher has the last
 * event. Writer and watchers are one process, each watcher with a connection of its own; events are
 * counted, not decoded. The sessions do not compact. Not measured: several sessions, several writers.
 */
export const watchBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path });
  using client = new RawClient(server.address);
  const target = { client, server };
  const variants = [
    { watchers: 1, batchEvents: 1 },
    { watchers: 10, batchEvents: 1 },
    { watchers: 100, batchEvents: 1 },
    { watchers: 100, batchEvents: 25 },
  ];
  const results = variants.map(() => [] as Deliveries[]);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, variant] of variants.entries()) {
      const result = await deliveries(target, { ...variant, sessionId: `deliver-${index}` });
      // The first round warms up both sides.
      if (round > 0) results[index]?.push(result);
    }
  }
  report.table(
    "deliveries of one session's events, writer with 64 appends in flight",
    variants.map(({ watchers, batchEvents }, index) => ({
      watchers,
      "events/append": batchEvents,
      "appended/s": Math.round(
        median(results[index]?.map((result) => result.appendedPerSecond) ?? []),
      ),
      "deliveries/s": Math.round(
        median(results[index]?.map((result) => result.deliveredPerSecond) ?? []),
      ),
      "server CPU µs/delivery": median(results[index]?.map((result) => result.cpuUs) ?? []).toFixed(
        1,
      ),
    })),
  );

  const late = [];
  for (const watchers of [1, 10, 100]) {
    await lateness(target, { watchers, sessionId: `warm-${watchers}`, durationMs: 1_000 });
    const latencies = await lateness(target, {
      watchers,
      sessionId: `late-${watchers}`,
      durationMs: 5_000,
    });
    late.push({
      watchers,
      "p50 ms": quantile(latencies, 0.5).toFixed(1),
      "p99 ms": quantile(latencies, 0.99).toFixed(1),
      "longest ms": quantile(latencies, 1).toFixed(1),
    });
  }
  report.table("from sending an append to its event at a watcher, at 1,000 events/s", late);
};

interface Target {
  readonly client: RawClient;
  readonly server: { readonly address: string; readonly pid: number };
}

async function deliveries(
  { client, server }: Target,
  args: { watchers: number; batchEvents: number; sessionId: string },
): Promise<Deliveries> {
  const { watchers, batchEvents, sessionId } = args;
  const events = Array(batchEvents).fill(textEvent());
  const bytes = appendBytes({ sessionId, events });
  await createQuietSession(client, sessionId);
  await client.call(path, bytes);
  let delivered = 0;
  using _watches = await openWatches({
    address: server.address,
    requests: Array(watchers).fill({ sessionId, start: WatchStart.NOW }),
    connections: watchers,
    onMessage: (message) => {
      delivered += watchedEvents(message).length;
    },
  });
  const beforeCpuMs = cpuMs(server.pid);
  const startMs = performance.now();
  let appended = 0;
  await load({
    inFlight: 64,
    durationMs,
    call: async () => {
      await client.call(path, bytes);
      appended += batchEvents;
    },
  });
  const appendingMs = performance.now() - startMs;
  await until(() => delivered >= appended * watchers);
  const elapsedMs = performance.now() - startMs;
  if (delivered > appended * watchers) throw new Error("an event was delivered twice");
  return {
    appendedPerSecond: (appended / appendingMs) * 1_000,
    deliveredPerSecond: (delivered / elapsedMs) * 1_000,
    cpuUs: ((cpuMs(server.pid) - beforeCpuMs) * 1_000) / delivered,
  };
}

/** The time of each delivery at a moderate, steady rate. */
async function lateness(
  { client, server }: Target,
  args: { watchers: number; sessionId: string; durationMs: number },
): Promise<number[]> {
  const { watchers, sessionId, durationMs } = args;
  const bytes = appendBytes({ sessionId, events: [textEvent()] });
  await createQuietSession(client, sessionId);
  const { headRevision } = fromBinary(AppendEventsResponseSchema, await client.call(path, bytes));
  const sentMs: number[] = [];
  const latencies: number[] = [];
  using _watches = await openWatches({
    address: server.address,
    requests: Array(watchers).fill({ sessionId, start: WatchStart.NOW }),
    connections: watchers,
    onMessage: (message) => {
      const nowMs = performance.now();
      for (const event of watchedEvents(message)) {
        const sent = sentMs[revisionOf(event) - headRevision - 1];
        if (sent === undefined) throw new Error("an event came before it was sent");
        latencies.push(nowMs - sent);
      }
    },
  });
  await paced({
    perSecond: 1_000,
    durationMs,
    call: async (index) => {
      sentMs[index] = performance.now();
      const answer = fromBinary(AppendEventsResponseSchema, await client.call(path, bytes));
      if (answer.headRevision !== headRevision + index + 1) {
        throw new Error("appends were decided in another order than they were sent");
      }
    },
  });
  await until(() => latencies.length >= sentMs.length * watchers);
  return latencies;
}

async function until(holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error("events are missing at a watcher");
    await sleep(1);
  }
}
