import { stat } from "node:fs/promises";
import { join } from "node:path";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { type ServerProcess, startServer } from "../../support/server-process.ts";
import { checkStore, type StoreCheck } from "../../support/store-check.ts";
import { randomOf } from "../random.ts";
import { clientsOf } from "./clients.ts";
import { Departures } from "./departures.ts";
import { sendWave } from "./wave.ts";

const namespace = "churn";
/** Records removed at once when what the server left is cleaned up. */
const pieceRecords = 10_000;

export interface ChurnOptions {
  /** An empty folder, for the server's data. */
  readonly data: string;
  /** Stops at the first wave that ends after so many milliseconds; default: after `waves`. */
  readonly durationMs?: number;
  readonly waves?: number;
  readonly sessionsPerWave: number;
  readonly seed: number;
  readonly onWave?: (wave: Wave) => void;
}

/** What a wave of sessions left when all of them were gone. */
export interface Wave {
  readonly wave: number;
  /** Until all were sent away, and until all were gone. */
  readonly sentSeconds: number;
  readonly goneSeconds: number;
  readonly fileBytes: number;
}

/** What a churn came to. */
export interface Churn {
  readonly waves: readonly Wave[];
  readonly deletedSessions: number;
  /** Lines on the server's stderr beside those of its start and its stop. */
  readonly complaints: readonly string[];
  /** Deleted sessions whose events the server had not freed when it was stopped. */
  readonly unfreedSessions: number;
  /** The store when all that was left to free was freed. */
  readonly check: StoreCheck;
}

/**
 * Has a real server keep thousands of sessions for a moment each, wave after wave, until nothing should
 * be left of them.
 *
 * Errors: when the server refuses what it should take, or does not end well.
 */
export async function runChurn(options: ChurnOptions): Promise<Churn> {
  const { data } = options;
  const waves: Wave[] = [];
  let complaints: readonly string[] = [];
  {
    await using server = await startServer({ data });
    await sendWaves(server, options, waves);
    const { code } = await server.kill("SIGTERM");
    complaints = complaintsIn(server.stderr());
    if (code !== 0) throw new Error(`the server ended with ${code}:\n${server.stderr()}`);
  }
  const { entries } = await checkStore(data);
  await freeTheRest(data);
  return {
    waves,
    deletedSessions: waves.length * options.sessionsPerWave,
    complaints,
    unfreedSessions: entries.garbage,
    check: await checkStore(data),
  };
}

async function sendWaves(server: ServerProcess, options: ChurnOptions, waves: Wave[]) {
  const { data, durationMs, sessionsPerWave, seed, onWave } = options;
  const { waves: maxWaves = durationMs === undefined ? 1 : Number.POSITIVE_INFINITY } = options;
  using clients = clientsOf(server.address);
  const random = randomOf(seed, "churn");
  await using departures = await Departures.watch(clients, namespace);
  const endMs = performance.now() + (durationMs ?? Number.POSITIVE_INFINITY);
  for (let wave = 1; wave <= maxWaves && performance.now() < endMs; wave++) {
    const startMs = performance.now();
    const sessionIds = Array.from({ length: sessionsPerWave }, (_, index) => `w${wave}-${index}`);
    const seconds = () => (performance.now() - startMs) / 1_000;
    await sendWave(clients, { namespace, sessionIds, random });
    const sentSeconds = seconds();
    await departures.reached(wave * sessionsPerWave);
    const { size: fileBytes } = await stat(join(data, "data.mdb"));
    const done = { wave, sentSeconds, goneSeconds: seconds(), fileBytes };
    waves.push(done);
    onWave?.(done);
  }
}

/** What a server frees in the background it may have left for its next start. */
async function freeTheRest(path: string): Promise<void> {
  await using store = await LmdbStore.open({ path });
  while (await store.maintain({ nowMs: Date.now(), limit: pieceRecords }));
}

/** What a server in good health writes beside the text that every start prints. */
const known = [/^\{"level":"info",.*"msg":"stopping"\}$/, /^\{"level":"info",.*"msg":"stopped"\}$/];

function complaintsIn(stderr: string): string[] {
  const [, behind = stderr] = stderr.split(/^Stop with Ctrl\+C.*\n/m);
  const lines = behind.split("\n").filter((line) => line !== "");
  return lines.filter((line) => !known.some((pattern) => pattern.test(line)));
}
