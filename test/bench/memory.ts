import { setTimeout as sleep } from "node:timers/promises";
import { EventService, ServerService } from "@sessiond/contract";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { buildBundle } from "./support/bundle.ts";
import { fill, sessionIds } from "./support/fill.ts";
import { collectable, liveMemory } from "./support/live-memory.ts";
import { median } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { anonymousBytes } from "./support/process-stats.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench, Row } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

/** After ten quiet seconds the engine gives back the pages it kept for more of the same. */
const idleMs = 15_000;

const infoPath = pathOf(ServerService.method.getServerInfo);
const appendPath = pathOf(EventService.method.appendEvents);

/**
 * Resident memory of the production bundle without mapped file pages, which the system takes back at
 * will: before the first count, with a tokenizer, and around an import of 100,000 events.
 *
 * "as it is" is what an operator sees, the median of some seconds; "collected" is after the garbage
 * of the main thread was collected, and "live" is what the engine then holds there.
 */
export const memoryBench: Bench = async (report) => {
  await using bundle = await buildBundle();
  await using data = await tempFolder();
  const measured = { data: data.path, wrap: bundle.wrap, env: collectable };
  const rows: Row[] = [];
  {
    await using server = await startServer({ ...measured, args: ["--no-preload-tokenizer"] });
    using client = new RawClient(server.address);
    await client.call(infoPath, Buffer.alloc(0));
    rows.push(await row("idle, before the first count", server));
    await client.call(appendPath, appendBytes({ sessionId: "session-0", events: [textEvent()] }));
    rows.push(await row("idle, with a tokenizer", server));
    const filled = fill(client, { sessionIds: sessionIds(100), eventsEach: 1_000 });
    rows.push(await peak("while 100,000 events are appended, most", server, filled));
    rows.push(await row("after 100,000 events", server));
    await sleep(idleMs);
    rows.push(await row(`${idleMs / 1_000} s later`, server));
  }
  await using server = await startServer(measured);
  using client = new RawClient(server.address);
  await client.call(appendPath, appendBytes({ sessionId: "session-0", events: [textEvent()] }));
  rows.push(await row("restarted over 100,000 events", server));
  report.table("resident memory without mapped files, MB", rows);
};

async function row(when: string, server: ServerProcess): Promise<Row> {
  const samples: number[] = [];
  for (let sample = 0; sample < 7; sample++) {
    await sleep(500);
    samples.push(anonymousBytes(server.pid));
  }
  const { residentBytes, liveBytes } = await liveMemory(server);
  return {
    when,
    "as it is": megabytes(median(samples)),
    collected: megabytes(residentBytes),
    live: megabytes(liveBytes),
  };
}

async function peak(when: string, server: ServerProcess, work: Promise<void>): Promise<Row> {
  let most = 0;
  const sampling = setInterval(() => {
    most = Math.max(most, anonymousBytes(server.pid));
  }, 50);
  await work.finally(() => clearInterval(sampling));
  return { when, "as it is": megabytes(most), collected: "", live: "" };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
