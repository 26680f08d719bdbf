import { startServer } from "../support/server-process.ts";
import { inTurns } from "./support/clients/rounds.ts";
import { fill } from "./support/fill.ts";
import { RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const sessionId = "read";
const rounds = 5;
const durationMs = 2_000;

/**
 * The SDK's unary calls against a stub of grpc-js and against connect-node's gRPC transport.
 *
 * The call is GetSession on the memory store, which costs the server least, so that the difference
 * is the client's. Every client is a process of its own and as its users get it: the SDK with its
 * deadline, retries and error classes, grpc-js with none of them. Server and client share the
 * machine's cores. Not measured: large messages, several connections, unix sockets.
 */
export const clientBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path, args: ["--store", "memory"] });
  {
    using client = new RawClient(server.address);
    await fill(client, { sessionIds: [sessionId], eventsEach: 1 });
  }
  for (const inFlight of [1, 64]) {
    const task = { call: "getSession", sessionId, events: 0, inFlight, durationMs } as const;
    const standings = await inTurns(server, { ...task, rounds });
    report.table(
      `GetSession, ${inFlight === 1 ? "one at a time" : `${inFlight} in flight`}`,
      standings.map(({ client, median, timesOf }) => ({
        client,
        "calls/s": Math.round(median(({ perSecond }) => perSecond)),
        "of grpc-js": timesOf("grpc-js").toFixed(2),
        "of connect-node": timesOf("connect-node").toFixed(2),
        "p50 ms": median(({ p50Ms }) => p50Ms).toFixed(2),
        "p99 ms": median(({ p99Ms }) => p99Ms).toFixed(2),
        "client CPU µs/call": Math.round(median(({ clientCpuUs }) => clientCpuUs)),
        "server CPU µs/call": Math.round(median(({ serverCpuUs }) => serverCpuUs)),
      })),
    );
  }
};
