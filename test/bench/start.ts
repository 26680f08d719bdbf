import { spawn } from "node:child_process";
import { once } from "node:events";
import { EventService, ServerService } from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { median } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const rounds = 5;
const infoPath = pathOf(ServerService.method.getServerInfo);
const appendPath = pathOf(EventService.method.appendEvents);

interface Start {
  readonly listeningMs: number;
  readonly answeredMs: number;
  readonly appendedMs: number;
}

/**
 * From starting the process to its first answers, with an empty store and with 100,000 events, and
 * node itself for comparison. The server is killed in between, so a start includes the recovery.
 *
 * Runs from source: a part of the time is stripping types and loading modules one by one, which a
 * bundle does not need. The files are in the page cache of the system.
 */
export const startBench: Bench = async (report) => {
  await using empty = await tempFolder();
  await using full = await tempFolder();
  {
    await using server = await startServer({ data: full.path });
    using client = new RawClient(server.address);
    await fill(client, { sessionIds: sessionIds(100), eventsEach: 1_000 });
  }
  const bare: number[] = [];
  const starts = { "empty store": [] as Start[], "100,000 events": [] as Start[] };
  for (let round = 0; round <= rounds; round++) {
    const nodeMs = await bareNode();
    const first = await start(empty.path);
    const second = await start(full.path);
    // The first round brings the files into memory.
    if (round === 0) continue;
    bare.push(nodeMs);
    starts["empty store"].push(first);
    starts["100,000 events"].push(second);
  }
  report.table("ms from starting the process, from source", [
    { store: "node alone", listening: median(bare).toFixed(0), "first answer": "", appended: "" },
    ...Object.entries(starts).map(([store, runs]) => ({
      store,
      listening: median(runs.map(({ listeningMs }) => listeningMs)).toFixed(0),
      "first answer": median(runs.map(({ answeredMs }) => answeredMs)).toFixed(0),
      appended: median(runs.map(({ appendedMs }) => appendedMs)).toFixed(0),
    })),
  ]);
};

async function start(data: string): Promise<Start> {
  const startMs = performance.now();
  await using server = await startServer({ data });
  const listeningMs = performance.now() - startMs;
  using client = new RawClient(server.address);
  await client.call(infoPath, Buffer.alloc(0));
  const answeredMs = performance.now() - startMs;
  // Its tokens are counted, so it waits for the tokenizer.
  await client.call(appendPath, appendBytes({ sessionId: "session-0", events: [textEvent()] }));
  return { listeningMs, answeredMs, appendedMs: performance.now() - startMs };
}

async function bareNode(): Promise<number> {
  const startMs = performance.now();
  await once(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }), "exit");
  return performance.now() - startMs;
}
