import { cp } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  EventService,
  GetSessionRequestSchema,
  GetSessionResponseSchema,
  SessionService,
} from "@sessiond/contract";
import { LmdbStore } from "../../src/store/lmdb/lmdb-store.ts";
import { openTestDomain } from "../support/domain.ts";
import { startServer } from "../support/server-process.ts";
import { type Load, median, paced } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const appendPath = pathOf(EventService.method.appendEvents);
const getPath = pathOf(SessionService.method.getSession);
const sessions = 10_000;
const rounds = 5;
const perSecond = 200;
/** Together shorter than the sweep, which rests for 5 ms after every 8 sessions. */
const warmUpMs = 2_000;
const durationMs = 4_000;
const pollMs = 100;
const hourMs = 3_600_000;

/** What one start of a server came to. */
interface Start {
  /** Appends while the sweep runs, if there is something to sweep. */
  readonly during: Load;
  /** The same for as long, when nothing is left to sweep. */
  readonly after: Load;
  readonly sweepMs: number;
}

/**
 * Appends to one session while 10,000 others, due since an hour, are swept: a server is started over
 * them, and appends go on at a fixed rate. Beside it a server over as many sessions that are not
 * due, so that both are equally cold; and the same servers later, when nothing is left to sweep.
 *
 * Rounds take turns, and a ratio is the median of the rounds' ratios. Server and load share the
 * machine's cores. Not measured: sessions with long logs, removals.
 */
export const sweepBench: Bench = async (report) => {
  await using due = await filled({ ttlMs: 60_000 });
  await using idle = await filled({ ttlMs: 240 * hourMs });
  const swept: Start[] = [];
  const rested: Start[] = [];
  for (let round = 0; round < rounds; round++) {
    swept.push(await start(due.path, { isDue: true }));
    rested.push(await start(idle.path, { isDue: false }));
  }
  const row = (what: string, loads: readonly Load[], base: readonly Load[]) => ({
    what,
    "p50 ms": median(loads.map(({ p50Ms }) => p50Ms)).toFixed(2),
    "p99 ms": median(loads.map(({ p99Ms }) => p99Ms)).toFixed(2),
    "p99 by round": loads.map(({ p99Ms }) => p99Ms.toFixed(1)).join(" "),
    "p99 ratio": median(loads.map(({ p99Ms }, i) => p99Ms / (base[i]?.p99Ms ?? 1))).toFixed(2),
  });
  const during = (starts: readonly Start[]) => starts.map(({ during }) => during);
  const after = (starts: readonly Start[]) => starts.map(({ after }) => after);
  report.table(`${perSecond} appends a second, ${warmUpMs} ms after the start of the server`, [
    row(`${sessions} sessions are swept`, during(swept), during(rested)),
    row("as many are not due", during(rested), during(rested)),
    row("the same servers, all is swept", after(swept), after(rested)),
    row("the same servers, none is due", after(rested), after(rested)),
  ]);
  report.table("the sweep", [
    {
      sessions,
      "s from the start": (median(swept.map(({ sweepMs }) => sweepMs)) / 1_000).toFixed(1),
      "s by round": swept.map(({ sweepMs }) => (sweepMs / 1_000).toFixed(1)).join(" "),
    },
  ]);
};

async function start(filledPath: string, { isDue }: { isDue: boolean }): Promise<Start> {
  await using data = await tempFolder();
  await cp(filledPath, data.path, { recursive: true });
  await using server = await startServer({ data: data.path });
  const startMs = performance.now();
  using client = new RawClient(server.address);
  const append = appendBytes({ sessionId: "another", events: [textEvent()] });
  const call = () => client.call(appendPath, append);
  const sweep = isDue ? swept(client, startMs) : Promise.resolve(0);
  await paced({ perSecond, durationMs: warmUpMs, call });
  const during = await paced({ perSecond, durationMs, call });
  const sweepMs = await sweep;
  if (isDue && sweepMs < warmUpMs + durationMs) throw new Error("the sweep ended too early");
  return { during, after: await paced({ perSecond, durationMs, call }), sweepMs };
}

/** Waits until the session that is due last has its end in its log. */
async function swept(client: RawClient, startMs: number): Promise<number> {
  const request = create(GetSessionRequestSchema, { sessionId: `session-${sessions - 1}` });
  const bytes = Buffer.from(toBinary(GetSessionRequestSchema, request));
  for (;;) {
    const answer = fromBinary(GetSessionResponseSchema, await client.call(getPath, bytes));
    if (answer.session?.headRevision === 2) return performance.now() - startMs;
    await pause(pollMs);
  }
}

/** A folder with sessions that were created an hour ago, one a millisecond. */
async function filled({ ttlMs }: { ttlMs: number }) {
  await using made = new AsyncDisposableStack();
  const data = made.use(await tempFolder());
  await using domain = await openTestDomain({ store: await LmdbStore.open({ path: data.path }) });
  domain.now = Date.now() - hourMs;
  const creations: Promise<unknown>[] = [];
  for (let index = 0; index < sessions; index++) {
    domain.now++;
    const session = { sessionId: `session-${index}`, expiry: { ttl: durationFromMs(ttlMs) } };
    creations.push(domain.create({ session }));
  }
  await Promise.all(creations);
  made.move();
  return data;
}
