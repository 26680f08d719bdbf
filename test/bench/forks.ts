import { stat } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  CreateSessionRequestSchema,
  ForkSessionRequestSchema,
  ListEventsRequestSchema,
  Role,
} from "@sessiond/contract";
import type { Domain } from "../../src/domain/domain.ts";
import { openEnvironment } from "../../src/store/lmdb/environment.ts";
import { pagesOf } from "../../src/store/lmdb/pages.ts";
import { median } from "./support/load.ts";
import type { Bench, Row } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { openInProcess } from "./windows/in-process.ts";

const lengths = [100, 10_000] as const;
const forks = 300;
const manyForks = 10_000;
const chain = 16;
const reads = 60;
const pageSize = 200;
const mapSizeBytes = 1024 ** 3;

/**
 * Forks at revisions all over a short and a long log, in process and each synced to disk; what ten
 * thousand of them take on disk; and pages read through a chain of forks against pages of one log.
 *
 * "of an append" is the time against appends of one message to another session, made in turns.
 */
export const forksBench: Bench = async (report) => {
  const rows: Row[] = [];
  for (const events of lengths) rows.push(await timeForks(events));
  report.table("a fork, synced to disk", rows);
  report.table("on disk", [await spaceOfForks()]);
  report.table(`pages of ${pageSize} events`, [await readChain()]);
};

async function timeForks(events: number): Promise<Row> {
  await using data = await tempFolder();
  await using server = await openInProcess(data.path);
  const { domain } = server;
  await fill(domain, "long", events);
  await fill(domain, "other", 1);
  const times: number[] = [];
  const appends: number[] = [];
  for (let index = 0; index < forks; index++) {
    const revision = 1 + ((index * 7_919) % events);
    times.push(await timed(() => fork(domain, "long", revision)));
    appends.push(await timed(() => append(domain, "other", 1)));
  }
  const sorted = times.toSorted((a, b) => a - b);
  return {
    "parent's events": events,
    "p50 ms": median(times).toFixed(2),
    "p99 ms": (sorted[Math.floor(sorted.length * 0.99)] ?? 0).toFixed(2),
    "of an append": median(times.map((ms, i) => ms / (appends[i] ?? 1))).toFixed(2),
  };
}

async function spaceOfForks(): Promise<Row> {
  await using data = await tempFolder();
  {
    await using server = await openInProcess(data.path);
    await fill(server.domain, "long", 10_000);
  }
  const before = await usedBytes(data.path);
  {
    await using server = await openInProcess(data.path);
    for (let made = 0; made < manyForks; made += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          fork(server.domain, "long", 1 + (((made + i) * 7_919) % 10_000)),
        ),
      );
    }
  }
  const after = await usedBytes(data.path);
  const { size } = await stat(join(data.path, "data.mdb"));
  return {
    "parent's KB": Math.round(before / 1e3),
    forks: manyForks,
    "bytes a fork": Math.round((after - before) / manyForks),
    "file KB": Math.round(size / 1e3),
  };
}

async function readChain(): Promise<Row> {
  await using data = await tempFolder();
  await using server = await openInProcess(data.path);
  const { domain } = server;
  const each = 200;
  await fill(domain, "c0", each);
  for (let depth = 1; depth < chain; depth++) {
    await fork(domain, `c${depth - 1}`, 0, `c${depth}`);
    await append(domain, `c${depth}`, each - 1);
  }
  await fill(domain, "one", chain * each);
  const ratios: number[] = [];
  const times: { one: number[]; through: number[] } = { one: [], through: [] };
  for (let round = 0; round <= reads; round++) {
    const one = await timed(() => readAll(domain, "one"));
    const through = await timed(() => readAll(domain, `c${chain - 1}`));
    // The first round warms up both sides.
    if (round === 0) continue;
    times.one.push(one);
    times.through.push(through);
    ratios.push(through / one);
  }
  return {
    segments: chain,
    "one log ms": median(times.one).toFixed(1),
    "through segments ms": median(times.through).toFixed(1),
    ratio: median(ratios).toFixed(2),
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

function fork(domain: Domain, sessionId: string, revision: number, newSessionId = "") {
  return domain.forks.fork(create(ForkSessionRequestSchema, { sessionId, revision, newSessionId }));
}

/** A session with so many events, `session_started` among them. */
async function fill(domain: Domain, sessionId: string, events: number): Promise<void> {
  const contextPolicy = { compaction: { manual: true } };
  await domain.sessions.create(
    create(CreateSessionRequestSchema, { session: { sessionId, contextPolicy } }),
  );
  const batch = 20;
  for (let done = 1; done < events; done += batch) {
    await append(domain, sessionId, Math.min(batch, events - done), done);
  }
}

async function append(domain: Domain, sessionId: string, count: number, from = 0): Promise<void> {
  const events = Array.from({ length: count }, (_, index) => ({
    role: (from + index) % 2 === 0 ? Role.USER : Role.ASSISTANT,
    payload: {
      case: "message" as const,
      value: { text: `Message ${from + index}: where would you like to go next, and when?` },
    },
  }));
  await domain.events.append(create(AppendEventsRequestSchema, { sessionId, events }));
}

async function readAll(domain: Domain, sessionId: string): Promise<void> {
  let pageToken = "";
  do {
    const request = create(ListEventsRequestSchema, { sessionId, pageSize, pageToken });
    ({ nextPageToken: pageToken } = await domain.events.list(request));
  } while (pageToken !== "");
}

async function usedBytes(path: string): Promise<number> {
  const environment = await openEnvironment({ path, mapSizeBytes, nowMs: Date.now() });
  try {
    const { fileBytes, freeBytes } = pagesOf(environment.root, Object.values(environment.tables));
    return fileBytes - freeBytes;
  } finally {
    await environment.close();
  }
}
