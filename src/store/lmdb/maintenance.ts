import { DataLossError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { eventKey, parseReferenceKey, prefixEnd, uidText } from "../keys.ts";
import { LogSweep } from "../log-sweep.ts";
import { decodeRecord } from "../records.ts";
import { RollupSweep } from "../rollup-sweep.ts";
import { SweptTables } from "./swept-tables.ts";
import { REQUEST_TIME_BYTES, type Tables, type Write } from "./tables.ts";
import { sweepWrites } from "./writes.ts";

const LAST_REVISION = 0xffff_ffff;
/** Requests are looked through again when the first of them has expired so long ago. */
const SWEEP_EVERY_MS = 15 * 60 * 1_000;

interface Piece {
  readonly nowMs: number;
  readonly limit: number;
}

/** Finds records that nobody needs any more, a piece at a time. */
export class Maintenance {
  readonly #tables: Tables;
  readonly #logSweep: LogSweep;
  readonly #rollupSweep: RollupSweep;
  /** Where the sweep of the requests goes on; undefined: at the first. */
  #sweptTo: Buffer | undefined;
  /** Earliest expiry that the sweep under way has left. */
  #earliestLeftMs = Number.POSITIVE_INFINITY;
  #nextSweepMs = Number.NEGATIVE_INFINITY;

  constructor(tables: Tables) {
    this.#tables = tables;
    this.#logSweep = new LogSweep(new SweptTables(tables));
    this.#rollupSweep = new RollupSweep((start) => {
      for (const key of tables.rollups.getKeys({ start: Buffer.from(start), limit: 1 })) return key;
      return undefined;
    });
  }

  /** Takes note that a session was deleted. */
  noteDeletion(): void {
    this.#logSweep.noteDeletion();
  }

  /**
   * Looks at up to `limit` records: events of logs without a session, then as many entries of namespace
   * logs, rollups or requests. `more` says that there may be others. `staging`: logs that wait for their session.
   */
  find(piece: Piece, staging: ReadonlySet<string>): { writes: Write[]; more: boolean } {
    // Logs first: their room may be what a full disk waits for.
    const logs = deletedLogs(this.#tables, piece.limit, staging);
    if (logs.more) return logs;
    const swept = this.#logSweep.find(piece);
    if (swept) return { writes: [...logs.writes, ...sweepWrites(swept)], more: true };
    const old = this.#rollupSweep.find(piece);
    if (old.more || old.keys.length > 0) {
      const removes = old.keys.map((key): Write => ({ table: "rollups", key }));
      return { writes: [...logs.writes, ...removes], more: true };
    }
    if (piece.nowMs < this.#nextSweepMs) return logs;
    return { writes: [...logs.writes, ...this.#sweep(piece)], more: true };
  }

  /**
   * Requests are found by a walk through all of them rather than by an index on their expiry: that
   * index would be written with every append, and take a fifth of what a short event does.
   */
  #sweep({ nowMs, limit }: Piece): Write[] {
    const writes: Write[] = [];
    let seen = 0;
    for (const { key, value } of this.#tables.requests.getRange({
      ...(this.#sweptTo && { start: this.#sweptTo, exclusiveStart: true }),
      limit,
    })) {
      seen++;
      this.#sweptTo = key;
      const expireTimeMs = expireTimeOf(key, value);
      if (expireTimeMs < nowMs) writes.push({ table: "requests", key });
      else this.#earliestLeftMs = Math.min(this.#earliestLeftMs, expireTimeMs);
    }
    if (seen < limit) {
      // Whatever is written from now on expires later than now.
      const isEmpty = this.#earliestLeftMs === Number.POSITIVE_INFINITY;
      // Nothing lives longer than that, unless the clock was set back.
      const latestMs = nowMs + limits.requestIdTtlMs;
      const earliestMs = isEmpty ? nowMs : Math.min(this.#earliestLeftMs, latestMs);
      this.#nextSweepMs = earliestMs + SWEEP_EVERY_MS;
      this.#sweptTo = undefined;
      this.#earliestLeftMs = Number.POSITIVE_INFINITY;
    }
    return writes;
  }
}

/** Expire time of a request record; one that is damaged has expired. */
function expireTimeOf(key: Buffer, value: Buffer): number {
  try {
    const content = decodeRecord(key, value, () => ({ record: "request" }));
    const time = Buffer.from(content.subarray(0, REQUEST_TIME_BYTES));
    return Number(time.readBigUInt64BE());
  } catch (error) {
    if (error instanceof DataLossError) return Number.NEGATIVE_INFINITY;
    throw error;
  }
}

function deletedLogs(
  tables: Tables,
  limit: number,
  staging: ReadonlySet<string>,
): { writes: Write[]; more: boolean } {
  const writes: Write[] = [];
  let left = limit;
  for (const uid of tables.garbage.getKeys({ limit: limit + staging.size })) {
    if (staging.has(uidText(uid))) continue;
    const records = recordsOf(tables, uid, left);
    writes.push(...records);
    left -= records.length;
    if (left <= 0) break;
    // All that nobody needs is among the writes, so the note about it goes, too.
    writes.push({ table: "garbage", key: uid });
    left -= 1;
    if (left <= 0) break;
  }
  return { writes, more: left <= 0 };
}

/**
 * Events and checkpoints of a log that no session needs, newest first: a watch of the namespace may show
 * what is left, and what it shows has no holes.
 */
function recordsOf(tables: Tables, uid: Buffer, limit: number): Write[] {
  const first = firstUnneeded(tables, uid);
  if (first > LAST_REVISION) return [];
  const log = uidText(uid);
  const writes: Write[] = [];
  for (const table of ["events", "checkpoints"] as const) {
    for (const key of tables[table].getKeys({
      start: eventKey({ uid: log, revision: LAST_REVISION }),
      end: eventKey({ uid: log, revision: first }),
      inclusiveEnd: true,
      reverse: true,
      limit: limit - writes.length,
    })) {
      writes.push({ table, key });
    }
    if (writes.length >= limit) break;
  }
  return writes;
}

/** The revision behind what the session of the log and the forks that share it need. */
export function firstUnneeded(tables: Tables, uid: Buffer): number {
  if (tables.heads.getBinary(uid) !== undefined) return LAST_REVISION + 1;
  for (const key of tables.references.getKeys({
    start: prefixEnd(uid),
    end: uid,
    exclusiveStart: true,
    reverse: true,
    limit: 1,
  })) {
    return parseReferenceKey(key).lastRevision + 1;
  }
  return 0;
}
