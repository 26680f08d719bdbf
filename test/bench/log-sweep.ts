import { cp } from "node:fs/promises";
import { EventService } from "@sessiond/contract";
import { LmdbStore } from "../../src/store/lmdb/lmdb-store.ts";
import type { Change, Store } from "../../src/store/store.ts";
import { addition, creation } from "../store/support.ts";
import { startServer } from "../support/server-process.ts";
import { type Load, median, paced } from "./support/load.ts";
import { appendBytes, textEvent } from "./support/messages.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const appendPath = pathOf(EventService.method.appendEvents);
const sessions = 10_000;
const commitsPerSession = 100;
const entries = sessions * commitsPerSession;
/** As the server's housekeeping does. */
const pieceRecords = 500;
const rounds = 2;
const perSecond = 200;
/** Together shorter than the pass over the large log, which rests for 20 ms after every piece. */
const warmUpMs = 2_000;
const durationMs = 8_000;

/**
 * A pass through namespace logs of a million entries: alone, and beside appends to one session at a
 * fixed rate, behind the start of a server. Beside that a server over as many sessions with one
 * entry each, whose pass is over by then.
 *
 * Rounds take turns, and a ratio is the median of the rounds' ratios. Server and load share the
 * machine's cores. The pass beside appends finds nothing to remove.
 */
export const logSweepBench: Bench = async (report) => {
  await using large = await filled(commitsPerSession);
  await using small = await filled(1);
  const during: Load[] = [];
  const beside: Load[] = [];
  for (let round = 0; round < rounds; round++) {
    during.push(await appends(large.path));
    beside.push(await appends(small.path));
  }
  const row = (what: string, loads: readonly Load[]) => ({
    what,
    "p50 ms": median(loads.map(({ p50Ms }) => p50Ms)).toFixed(2),
    "p99 ms": median(loads.map(({ p99Ms }) => p99Ms)).toFixed(2),
    "p99 by round": loads.map(({ p99Ms }) => p99Ms.toFixed(1)).join(" "),
    "p99 ratio": median(loads.map(({ p99Ms }, i) => p99Ms / (beside[i]?.p99Ms ?? 1))).toFixed(2),
  });
  report.table(`${perSecond} appends a second, ${warmUpMs} ms after the start of the server`, [
    row(`a pass over ${entries} entries goes on`, during),
    row(`a pass over ${sessions} entries is over`, beside),
  ]);
  report.table("a pass without rests", [
    { what: "nothing to remove", ...(await pass(large.path, 0)) },
    { what: "half of the sessions deleted", ...(await pass(large.path, sessions / 2)) },
  ]);
};

async function appends(filledPath: string): Promise<Load> {
  await using data = await tempFolder();
  await cp(filledPath, data.path, { recursive: true });
  await using server = await startServer({ data: data.path });
  using client = new RawClient(server.address);
  const append = appendBytes({ sessionId: "another", events: [textEvent()] });
  const call = () => client.call(appendPath, append);
  await paced({ perSecond, durationMs: warmUpMs, call });
  return await paced({ perSecond, durationMs, call });
}

/** Pieces of a pass behind a start, and how long each keeps the thread. */
async function pass(filledPath: string, deletes: number) {
  await using data = await tempFolder();
  await cp(filledPath, data.path, { recursive: true });
  await deleteSome(data.path, deletes);
  await using store = await LmdbStore.open({ path: data.path });
  const piecesMs: number[] = [];
  const threadMs: number[] = [];
  for (let more = true; more; ) {
    const startMs = performance.now();
    const piece = store.maintain({ nowMs: 0, limit: pieceRecords });
    threadMs.push(performance.now() - startMs);
    more = await piece;
    piecesMs.push(performance.now() - startMs);
  }
  threadMs.sort((a, b) => a - b);
  return {
    pieces: piecesMs.length,
    seconds: (piecesMs.reduce((sum, ms) => sum + ms, 0) / 1_000).toFixed(1),
    "thread ms p50": median(threadMs).toFixed(2),
    "thread ms p99": (threadMs[Math.floor(threadMs.length * 0.99)] ?? 0).toFixed(2),
    "entries left": (
      await store.readNamespaceLog({ namespace: "default", afterOffset: 0, limit: 2e6 })
    ).length,
  };
}

/** Deletes the first sessions, and frees their events. */
async function deleteSome(path: string, count: number): Promise<void> {
  await using store = await LmdbStore.open({ path });
  const names = Array.from({ length: count }, (_, index) => `session-${index}`);
  const deleted = names.map(async (sessionId) => {
    const before = await store.getSession({ namespace: "default", sessionId });
    if (before === undefined) throw new Error(`no session ${sessionId}`);
    const { uid } = before.session;
    const key = { namespace: "default", sessionId, uid };
    return store.commit({ key, before, events: [], deleteTimeMs: 0 });
  });
  await Promise.all(deleted);
}

/** A folder with sessions that were appended to in turn. */
async function filled(commits: number) {
  await using made = new AsyncDisposableStack();
  const data = made.use(await tempFolder());
  await using store = await LmdbStore.open({ path: data.path });
  let newest: Change[] = Array.from({ length: sessions }, (_, index) =>
    creation({ sessionId: `session-${index}` }),
  );
  await commitAll(store, newest);
  for (let commit = 1; commit < commits; commit++) {
    newest = newest.map((change) => addition(change));
    await commitAll(store, newest);
  }
  made.move();
  return data;
}

async function commitAll(store: Store, changes: readonly Change[]): Promise<void> {
  await Promise.all(changes.map((change) => store.commit(change)));
}
