import { stat } from "node:fs/promises";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { EndSessionRequestSchema, EventService, SessionService } from "@sessiond/contract";
import { toEventInit } from "../../sdk/client/src/event-input.ts";
import { openEnvironment } from "../../src/store/lmdb/environment.ts";
import { pagesOf } from "../../src/store/lmdb/pages.ts";
import { type Fact, factsOfRun, toEvents } from "../e2e/demo/facts.ts";
import { loadRuns, type Run } from "../e2e/demo/runs.ts";
import { startServer } from "../support/server-process.ts";
import { appendBytes } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench, Row } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const appendPath = pathOf(EventService.method.appendEvents);
const endPath = pathOf(SessionService.method.endSession);
/** Runs that are imported side by side, so that their events mix as those of agents do. */
const importers = 16;
const mapSizeBytes = 1024 ** 3;

/**
 * Bytes on disk for recorded runs, imported message by message, with and without request ids.
 *
 * Payload bytes are the texts of messages and results and the names and arguments of calls, in
 * UTF-8. Used pages leave out those that LMDB would fill before the file grows. Request records
 * expire after 24 hours, which is not waited for.
 */
export const diskBench: Bench = async (report) => {
  const { runs, source } = loadRuns();
  const payloadBytes = sum(runs.flatMap(({ messages }) => factsOfRun(messages)).map(payloadOf));
  const jsonBytes = sum(runs.map(({ messages }) => Buffer.byteLength(JSON.stringify(messages))));
  const rows: Row[] = [];
  const tables: Row[] = [];
  for (const withIds of [false, true]) {
    await using data = await tempFolder();
    const events = await importInto(data.path, runs, withIds);
    const used = await usedBytes(data.path);
    const { size: fileBytes } = await stat(join(data.path, "data.mdb"));
    rows.push({
      "request ids": withIds ? "yes" : "no",
      events,
      "used KB": Math.round(used.all / 1e3),
      "used/payload": (used.all / payloadBytes).toFixed(2),
      "used/JSON": (used.all / jsonBytes).toFixed(2),
      "file KB": Math.round(fileBytes / 1e3),
      "file/payload": (fileBytes / payloadBytes).toFixed(2),
      "file/JSON": (fileBytes / jsonBytes).toFixed(2),
    });
    for (const { name, entries, bytes } of used.tables) {
      if (entries === 0) continue;
      tables.push({
        "request ids": withIds ? "yes" : "no",
        table: name,
        entries,
        "KB of pages": Math.round(bytes / 1e3),
        "of payload": (bytes / payloadBytes).toFixed(2),
      });
    }
  }
  const size = (bytes: number) => `${Math.round(bytes / 1e3).toLocaleString("en")} KB`;
  report.table(
    `disk for ${runs.length} runs of ${source}: ${size(payloadBytes)} of payload, ${size(jsonBytes)} as JSON`,
    rows,
  );
  report.table("where the bytes are", tables);
};

/** Appends the runs through the API and returns the number of events. */
async function importInto(data: string, runs: readonly Run[], withIds: boolean): Promise<number> {
  await using server = await startServer({ data });
  using client = new RawClient(server.address);
  const newId = () => (withIds ? crypto.randomUUID() : "");
  const waiting = [...runs];
  let appended = 0;
  const importer = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const { sessionId, messages } = run;
      for (const message of messages) {
        const events = toEvents(message).map(toEventInit);
        await client.call(appendPath, appendBytes({ sessionId, requestId: newId(), events }));
        appended += events.length;
      }
      const end = create(EndSessionRequestSchema, { sessionId, requestId: newId() });
      await client.call(endPath, Buffer.from(toBinary(EndSessionRequestSchema, end)));
    }
  };
  await Promise.all(Array.from({ length: importers }, importer));
  await server.kill("SIGTERM");
  return appended;
}

async function usedBytes(path: string) {
  const environment = await openEnvironment({ path, mapSizeBytes, nowMs: Date.now() });
  const { root, tables } = environment;
  try {
    const { fileBytes, freeBytes } = pagesOf(root, Object.values(tables));
    const without = pagesOf(root, []).freeBytes;
    return {
      all: fileBytes - freeBytes,
      tables: Object.entries(tables).map(([name, table]) => ({
        name,
        entries: table.getKeysCount(),
        bytes: without - pagesOf(root, [table]).freeBytes,
      })),
    };
  } finally {
    await environment.close();
  }
}

function payloadOf([what, , second = "", third = ""]: Fact): number {
  return Buffer.byteLength(what === "call" ? second + third : second);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
