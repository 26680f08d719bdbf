import { DataLossError } from "../../errors.ts";
import { eventKey, parseExpiryKey, uidText } from "../keys.ts";
import { decodeRecord } from "../records.ts";
import { REQUEST_TIME_BYTES, type Tables, type Write } from "./tables.ts";

const LAST_REVISION = 0xffff_ffff;

/**
 * Finds up to `limit` records that nobody needs any more: requests that expired before `nowMs`,
 * then events of deleted sessions. `more` says that there may be others.
 */
export function findGarbage(
  tables: Tables,
  { nowMs, limit }: { nowMs: number; limit: number },
): { writes: Write[]; more: boolean } {
  const writes = expiredRequests(tables, nowMs, limit);
  let left = limit - writes.length;
  for (const uid of tables.garbage.getKeys({ limit: Math.max(1, limit) })) {
    if (left <= 0) return { writes, more: true };
    const events = eventsOf(tables, uid, left);
    writes.push(...events);
    left -= events.length;
    if (left <= 0) return { writes, more: true };
    // All of its events are among the writes, so the note about them goes, too.
    writes.push({ table: "garbage", key: uid });
    left -= 1;
  }
  return { writes, more: left <= 0 };
}

function expiredRequests(tables: Tables, nowMs: number, limit: number): Write[] {
  const writes: Write[] = [];
  for (const key of tables.expiries.getKeys({ limit: Math.ceil(limit / 2) })) {
    const { expireTimeMs, request } = parseExpiryKey(key);
    if (expireTimeMs >= nowMs) break;
    writes.push({ table: "expiries", key });
    // A record written again under the same key lives as long as the newer one says.
    if (expireTimeOf(tables, request, expireTimeMs) === expireTimeMs) {
      writes.push({ table: "requests", key: request });
    }
  }
  return writes;
}

/** Expire time of a request record; `ifDamaged` when it cannot be read. */
function expireTimeOf(tables: Tables, request: Buffer, ifDamaged: number): number | undefined {
  const value = tables.requests.getBinary(request);
  if (value === undefined) return undefined;
  try {
    const content = decodeRecord(request, value, () => ({ record: "request" }));
    const time = Buffer.from(content.subarray(0, REQUEST_TIME_BYTES));
    return Number(time.readBigUInt64BE());
  } catch (error) {
    if (error instanceof DataLossError) return ifDamaged;
    throw error;
  }
}

function eventsOf(tables: Tables, uid: Buffer, limit: number): Write[] {
  const log = uidText(uid);
  const writes: Write[] = [];
  for (const key of tables.events.getKeys({
    start: eventKey({ uid: log, revision: 0 }),
    end: eventKey({ uid: log, revision: LAST_REVISION }),
    inclusiveEnd: true,
    limit,
  })) {
    writes.push({ table: "events", key });
  }
  return writes;
}
