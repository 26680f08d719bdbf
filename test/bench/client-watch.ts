import { startServer } from "../support/server-process.ts";
import { inTurns } from "./support/clients/rounds.ts";
import { fill } from "./support/fill.ts";
import { RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { startReplay } from "./support/yardsticks.ts";

const sessionId = "read";
const events = 20_000;
const rounds = 5;
const durationMs = 3_000;

/**
 * How fast the SDK reads a log through a watch, against a server stream of a grpc-js stub and of
 * connect-node's gRPC transport.
 *
 * A watch of typical messages is read from its first event to its last, and then the next one. The
 * SDK hands out single events in their light form; the others hand out messages of about 50 events,
 * decoded. sessiond itself, on the memory store, is slower than its clients; so they also read from
 * a bare grpc-js server that repeats its messages, and the ratios there are the clients'.
 * Not measured: events as they come, several watches at a time.
 */
export const clientWatchBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path, args: ["--store", "memory"] });
  {
    using client = new RawClient(server.address);
    await fill(client, { sessionIds: [sessionId], eventsEach: events, batchEvents: 1 });
  }
  await using replay = await startReplay({ address: server.address, sessionId, events });
  const task = { call: "watchEvents", sessionId, events, inFlight: 1, durationMs } as const;
  for (const [from, target] of Object.entries({ sessiond: server, "a replay of it": replay })) {
    const standings = await inTurns(target, { ...task, rounds });
    report.table(
      `a log of ${events.toLocaleString("en")} events read through a watch, from ${from}`,
      standings.map(({ client, median, timesOf }) => ({
        client,
        "events/s": Math.round(median(({ perSecond }) => perSecond * events)),
        "of grpc-js": timesOf("grpc-js").toFixed(2),
        "of connect-node": timesOf("connect-node").toFixed(2),
        "client CPU µs/event": median(({ clientCpuUs }) => clientCpuUs / events).toFixed(2),
        "server CPU µs/event": median(({ serverCpuUs }) => serverCpuUs / events).toFixed(2),
      })),
    );
  }
};
