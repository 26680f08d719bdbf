import { Sessiond } from "@sessiond/client";
import { startServer } from "../support/server-process.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { median } from "./support/load.ts";
import { cpuMs } from "./support/process-stats.ts";
import { RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const sessions = 16;
const eventsEach = 1_250;
const events = sessions * eventsEach;
const batchEvents = 5;
const rounds = 5;

type Read = (sessiond: Sessiond, name: string) => Promise<number>;

/**
 * How fast a consumer reads a namespace that is behind it, against a bare watch.
 *
 * Readers take turns, each from the first event to the last, over a client of its own; the ratio is the median
 * of the rounds' ratios to the watch of the same round. A consumer commits each message, beside the reading.
 * Client and server share the machine's cores. Not measured: events as they come, several readers at once.
 */
export const consumerBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path });
  {
    using client = new RawClient(server.address);
    // Eight sessions at a time are filled, so messages are of one session and a few batches.
    await fill(client, { sessionIds: sessionIds(sessions), eventsEach, batchEvents });
  }
  const variants: readonly { reader: string; read: Read }[] = [
    { reader: "watch, events one by one", read: watch() },
    { reader: "watch, messages", read: messages },
    { reader: "consumer", read: consume(undefined) },
    { reader: "watch, filter that shows all", read: watch("event.revision > 0") },
    { reader: "consumer, filter that shows all", read: consume("event.revision > 0") },
    { reader: "consumer, filter that shows 1 of 100", read: consume("event.revision % 100 == 1") },
  ];
  const results = variants.map(() => [] as { perSecond: number; cpuUs: number }[]);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { read }] of variants.entries()) {
      await using sessiond = new Sessiond(server.address);
      const beforeMs = cpuMs(server.pid);
      const startMs = performance.now();
      const seen = await read(sessiond, `bench-${round}-${index}`);
      const elapsedMs = performance.now() - startMs;
      const cpuUs = ((cpuMs(server.pid) - beforeMs) * 1_000) / events;
      if (seen === 0) throw new Error("nothing was read");
      // The first round warms up both sides.
      if (round > 0) results[index]?.push({ perSecond: (events / elapsedMs) * 1_000, cpuUs });
    }
  }
  const [bare = []] = results;
  report.table(
    `${events.toLocaleString("en")} events of ${sessions} sessions read from the first to the last`,
    variants.map(({ reader }, index) => {
      const own = results[index] ?? [];
      const ratios = own.map(({ perSecond }, round) => perSecond / (bare[round]?.perSecond ?? 0));
      return {
        reader,
        "events/s": Math.round(median(own.map(({ perSecond }) => perSecond))),
        "of the watch": median(ratios).toFixed(2),
        "server CPU µs/event": median(own.map(({ cpuUs }) => cpuUs)).toFixed(1),
      };
    }),
  );
};

function watch(filter?: string): Read {
  return async (sessiond) => {
    let seen = 0;
    for await (const _ of sessiond.watch({ filter })) {
      seen += 1;
      if (seen >= events) break;
    }
    return seen;
  };
}

/** The generated client, whose messages have all events of a batch. */
async function messages({ clients, namespace }: Sessiond): Promise<number> {
  const ended = new AbortController();
  let seen = 0;
  for await (const { message } of clients.events.watchEvents(
    { namespace },
    { signal: ended.signal },
  )) {
    if (message.case === "events") seen += message.value.events.length;
    if (seen >= events) break;
  }
  ended.abort();
  return seen;
}

/** Reads as a new consumer until the newest event of the last session was shown or passed. */
function consume(filter: string | undefined): Read {
  return async (sessiond, name) => {
    const stop = new AbortController();
    const isSparse = filter?.includes("%") === true;
    const wanted = isSparse ? events / 100 : events;
    let seen = 0;
    await sessiond.consume(name, { filter, signal: stop.signal }, ({ events: batch }) => {
      seen += batch.length;
      if (seen >= wanted) stop.abort();
    });
    await sessiond.consumers.delete(name);
    return seen;
  };
}
