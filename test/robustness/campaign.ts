import { createHash } from "node:crypto";
import { join } from "node:path";
import { startServer } from "../support/server-process.ts";
import { type Connection, connect, failureKind } from "./connection.ts";
import { type Disaster, killAtRandomInstant } from "./disasters.ts";
import type { History, SessionLog } from "./history.ts";
import { Ledger } from "./ledger.ts";
import { type Random, randomOf } from "./random.ts";
import { readSession, sessionIdsOf } from "./reading.ts";
import { Recorder } from "./recorder.ts";
import { reasonOf } from "./requests.ts";
import { type Violation, violationsOf } from "./validate/validators.ts";
import { Watcher } from "./watcher.ts";
import { run, send } from "./workload.ts";

const namespace = "robustness";
/** Sessions that begin in a cycle, and cycles in which they are written. */
const sessionsPerCycle = 2;
const cyclesPerSession = 3;
/** Share of starts that are killed, and the longest time they get: some come as far as retries. */
const killedStarts = 0.2;
const startMs = 1_000;
/** What the watch gets to catch up; nothing waits for it otherwise. */
const catchUpMs = 10_000;

/** What a campaign came to up to now. */
export interface Progress {
  readonly cycle: number;
  readonly acknowledgedEvents: number;
  /** Calls that a kill left without an answer; each was sent again. */
  readonly unknownOutcomes: number;
  /** Of these, calls that had been applied, as the first read after a disaster showed. */
  readonly appliedUnknowns: number;
  readonly violations: readonly Violation[];
}

export interface CampaignOptions {
  /** An empty folder: `data` will be the server's, `history.jsonl` the recorder's. */
  readonly folder: string;
  readonly cycles: number;
  /** Decides moments, batches and sessions. How calls interleave it cannot decide. */
  readonly seed: number;
  /** How the server ends in every cycle. Default: it is killed. */
  readonly disaster?: Disaster;
  readonly onCycle?: (progress: Progress) => void;
}

/**
 * Brings a server down again and again while clients append, read and watch, and holds what it then
 * has against what it acknowledged and showed.
 *
 * A cycle is: start, read back, send again what was not answered, read back, work, disaster. Ends
 * early at the first cycle with a violation. Errors: when the server does what none may do, for
 * example ends by itself or refuses a correct call.
 */
export async function runCampaign(options: CampaignOptions): Promise<Progress> {
  const recorder = await Recorder.open(join(options.folder, "history.jsonl"));
  try {
    return await new Campaign(options, new Ledger(recorder)).run();
  } finally {
    await recorder.close();
  }
}

class Campaign {
  readonly #options: CampaignOptions;
  readonly #data: string;
  readonly #random: Random;
  readonly #ledger: Ledger;
  readonly #watcher = new Watcher(namespace);
  /** Sessions that are written now. */
  #open: string[] = [];
  /** Sessions that are complete, with a hash of their logs. */
  readonly #sealed = new Map<string, string>();
  readonly #violations: Violation[] = [];
  #unknownOutcomes = 0;
  #appliedUnknowns = 0;

  constructor(options: CampaignOptions, ledger: Ledger) {
    this.#options = options;
    this.#data = join(options.folder, "data");
    this.#random = randomOf(options.seed, "campaign");
    this.#ledger = ledger;
  }

  async run(): Promise<Progress> {
    const { cycles, onCycle } = this.#options;
    for (let cycle = 1; cycle <= cycles && this.#violations.length === 0; cycle++) {
      await this.#cycle(cycle);
      onCycle?.(this.#progress(cycle));
    }
    await this.#last();
    return this.#progress(cycles);
  }

  async #cycle(cycle: number): Promise<void> {
    if (this.#random.chance(killedStarts)) await this.#killStart();
    await using server = await startServer({ data: this.#data });
    using connection = connect(server.address);
    const stop = new AbortController();
    const watching = this.#watcher.follow(connection, stop.signal);
    await this.#settle(connection);
    if (this.#violations.length > 0) return;

    const begun = Array.from({ length: sessionsPerCycle }, (_, index) => `cycle-${cycle}-${index}`);
    this.#open.push(...begun);
    const working = run({
      connection,
      ledger: this.#ledger,
      namespace,
      sessionIds: this.#open,
      seed: this.#options.seed,
      name: `cycle-${cycle}`,
      signal: stop.signal,
    });
    const { disaster = killAtRandomInstant } = this.#options;
    await Promise.race([disaster(server, this.#random), working]);
    await server.exited;
    stop.abort();
    await working;
    failureKind(await watching);
    this.#unknownOutcomes += this.#ledger.unanswered().length;
  }

  /** Starts a server and kills it before it is ready, or while it takes the retries. */
  async #killStart(): Promise<void> {
    const signal = AbortSignal.timeout(this.#random.between(1, startMs));
    try {
      await using server = await startServer({ data: this.#data, signal });
      using connection = connect(server.address);
      await this.#retry(connection);
      await server.exited;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Reads back, sends again what was not answered, reads back again. */
  async #settle(connection: Connection): Promise<void> {
    const found = await this.#history(connection, { isSettled: false });
    this.#violations.push(...violationsOf(found));
    this.#appliedUnknowns += appliedUnknowns(found);
    await this.#retry(connection);
    const heads = await compacted(connection, this.#open);
    await this.#watcher.reached(heads, AbortSignal.timeout(catchUpMs));
    const history = await this.#history(connection, { isSettled: true });
    this.#violations.push(...violationsOf(history));
    for (const log of history.logs.slice(0, -sessionsPerCycle * (cyclesPerSession - 1))) {
      this.#seal(log);
    }
  }

  /** Sends again what was not answered, and some that was. */
  async #retry({ grpc, http }: Connection): Promise<void> {
    const requests = [...this.#ledger.unanswered(), ...this.#ledger.answered(3)];
    const client = this.#random.pick([grpc, http]);
    await Promise.all(requests.map((request) => send(client, this.#ledger, request)));
  }

  async #history(
    connection: Connection,
    { isSettled }: Pick<History, "isSettled">,
  ): Promise<History> {
    const stored = new Set(await sessionIdsOf(connection, namespace));
    const open = this.#open.filter((sessionId) => stored.has(sessionId));
    const read = (sessionId: string) => readSession(connection, { namespace, sessionId });
    const logs = await Promise.all(open.map(read));
    const { calls, sightings } = this.#ledger;
    return { calls, logs, deliveries: this.#watcher.deliveries, sightings, isSettled };
  }

  #seal(log: SessionLog): void {
    this.#sealed.set(log.sessionId, digest(log));
    this.#open = this.#open.filter((sessionId) => sessionId !== log.sessionId);
    this.#ledger.forget(log.sessionId);
    this.#watcher.forget(log.sessionId);
  }

  /** Reads everything back once more, also what was complete many kills ago, and stops in order. */
  async #last(): Promise<void> {
    await using server = await startServer({ data: this.#data });
    using connection = connect(server.address);
    const stop = new AbortController();
    const watching = this.#watcher.follow(connection, stop.signal);
    if (this.#violations.length === 0) await this.#settle(connection);
    stop.abort();
    await watching;
    for (const [sessionId, sealed] of this.#sealed) {
      const log = await readSession(connection, { namespace, sessionId });
      if (digest(log) !== sealed) {
        this.#violations.push({
          promise: "Durable",
          what: `${sessionId} changed since it was complete`,
        });
      }
    }
    const { code } = await server.kill("SIGTERM");
    if (code !== 0) throw new Error(`the server ended with ${code}:\n${server.stderr()}`);
  }

  #progress(cycle: number): Progress {
    return {
      cycle,
      acknowledgedEvents: this.#ledger.acknowledgedEvents,
      unknownOutcomes: this.#unknownOutcomes,
      appliedUnknowns: this.#appliedUnknowns,
      violations: this.#violations,
    };
  }
}

function appliedUnknowns({ calls, logs }: History): number {
  const stored = new Set(logs.flatMap(({ entries }) => entries.map(({ mark }) => mark)));
  const unknown = calls.filter(({ answers }) => answers.length === 0);
  return unknown.filter(({ marks }) => marks.some((mark) => stored.has(mark))).length;
}

function digest({ entries, counters }: SessionLog): string {
  return createHash("sha256")
    .update(JSON.stringify([entries, counters]))
    .digest("hex");
}

/**
 * Compacts sessions, so that none is compacted by itself while it is read back, and gives their
 * heads. A compaction that ran beside it comes too late then.
 */
async function compacted(
  { context, sessions }: Connection,
  sessionIds: readonly string[],
): Promise<Map<string, number>> {
  const heads = new Map<string, number>();
  for (const sessionId of sessionIds) {
    const name = { namespace, sessionId };
    let reason = "COMPACTION_STALE";
    while (reason === "COMPACTION_STALE") reason = await reasonOf(context.compactSession(name));
    if (reason === "SESSION_NOT_FOUND") continue;
    if (reason !== "none") throw new Error(`a compaction failed with ${reason}`);
    const { session } = await sessions.getSession(name);
    heads.set(sessionId, session?.headRevision ?? 0);
  }
  return heads;
}
