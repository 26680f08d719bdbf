import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Sessiond } from "../../sdk/client/src/index.ts";
import { readTextLines } from "../../src/bundle/read-lines.ts";
import { writeFile } from "../../src/bundle/write-file.ts";
import { bundleTexts } from "../../src/cli/bundle/export-bundle.ts";
import { importBundle } from "../../src/cli/bundle/import-bundle.ts";
import { startServer } from "../support/server-process.ts";
import { fill } from "./support/fill.ts";
import { anonymousBytes } from "./support/process-stats.ts";
import { RawClient } from "./support/raw-client.ts";
import type { Bench, Row } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

/** `BUNDLE_EVENTS=1000000 npm run bench -- bundles` takes some minutes. */
const { BUNDLE_EVENTS = "100000" } = process.env;
const events = Number(BUNDLE_EVENTS);
const sessionId = "long";
const { signal } = new AbortController();

/**
 * A long session, exported and imported through files by a client in this process, against listing and
 * appending its events with nothing around. MB are of the events as stored; the server's memory is
 * that beside mapped files, at its highest over what it was before, sampled every 20 ms.
 *
 * Does not measure the network, nor a disk that is slower than this one.
 */
export const bundlesBench: Bench = async (report) => {
  await using data = await tempFolder();
  await using files = await tempFolder();
  await using server = await startServer({ data: data.path });
  using raw = new RawClient(server.address);
  await using sessiond = new Sessiond({ address: server.address });
  const rows: Row[] = [];
  let storedBytes = 0;

  const measure = async (what: string, work: () => Promise<string | undefined>) => {
    const before = anonymousBytes(server.pid);
    let highest = before;
    const timer = setInterval(() => {
      highest = Math.max(highest, anonymousBytes(server.pid));
    }, 20);
    const startMs = performance.now();
    const file = await work();
    const seconds = (performance.now() - startMs) / 1_000;
    clearInterval(timer);
    const session = await sessiond.sessions.get(sessionId);
    storedBytes = session.message.metrics?.storedBytes ?? 0;
    rows.push({
      what,
      seconds: seconds.toFixed(1),
      "events/s": Math.round(events / seconds),
      "MB/s": (storedBytes / 1e6 / seconds).toFixed(1),
      "server +MB": ((highest - before) / 1e6).toFixed(0),
      "file MB": file === undefined ? "" : ((await stat(file)).size / 1e6).toFixed(1),
    });
  };

  await measure("append, batches of 500", async () => {
    await fill(raw, { sessionIds: [sessionId], eventsEach: events });
    return undefined;
  });
  await measure("list, pages of 1,000", async () => {
    const session = await sessiond.sessions.get(sessionId);
    let seen = 0;
    for await (const _ of session.events({ pageSize: 1_000 })) seen += 1;
    if (seen < events) throw new Error(`${seen} events were listed`);
    return undefined;
  });
  for (const ending of ["jsonl", "jsonl.zst"]) {
    const file = join(files.path, `bundle.${ending}`);
    await measure(`export to .${ending}`, async () => {
      const session = await sessiond.sessions.get(sessionId);
      const texts = bundleTexts({
        sessions: only(session),
        namespace: "default",
        exportedAt: undefined,
        written: { sessions: 0, events: 0 },
        signal,
      });
      await writeFile(file, texts);
      return file;
    });
    await measure(`import of .${ending}`, async () => {
      await using target = new Sessiond({ address: server.address, namespace: ending });
      const options = {
        onConflict: "fail",
        dryRun: false,
        keep: false,
        resume: false,
        renames: {},
        signal,
      } as const;
      const lines = readTextLines(createReadStream(file));
      for await (const { result } of importBundle(target, lines, options)) {
        if (!("imported" in result)) throw new Error(JSON.stringify(result));
      }
      return file;
    });
  }
  report.table(
    `a session of ${events.toLocaleString("en")} events, ${(storedBytes / 1e6).toFixed(1)} MB`,
    rows,
  );
};

async function* only<T>(value: T): AsyncGenerator<T> {
  yield value;
}
