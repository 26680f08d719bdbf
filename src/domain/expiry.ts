import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Session } from "@sessiond/contract";

/**
 * When a session expires if nothing more happens: the earlier of its absolute and its idle expiry.
 * Undefined: never, or it has ended.
 */
export function expireTimeMs(session: Session, lastActivityMs: number): number | undefined {
  const { expiry, createTime } = session;
  if (session.endTime !== undefined || expiry === undefined || createTime === undefined) {
    return undefined;
  }
  const due: number[] = [];
  if (expiry.ttl) due.push(timestampMs(createTime) + durationMs(expiry.ttl));
  if (expiry.idleTtl) due.push(lastActivityMs + durationMs(expiry.idleTtl));
  return due.length === 0 ? undefined : Math.min(...due, maxTimestampMs);
}

/** The last moment a Timestamp can name. */
const maxTimestampMs = 253_402_300_799_999;
