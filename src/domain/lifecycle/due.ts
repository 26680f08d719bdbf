import { type Duration, durationMs, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { StoredSession } from "../../store/store.ts";
import { hasEnded } from "./states.ts";

/** What time does to a session: it ends by the first three, and is removed by the last. */
export type DueCause = "timeout" | "ttl" | "idle_ttl" | "retention";

export interface Due {
  readonly atMs: number;
  readonly cause: DueCause;
}

/** The last moment a Timestamp can name. */
const maxTimestampMs = 253_402_300_799_999;

/**
 * What happens to a session next if nothing else does, and when. Undefined: nothing, ever.
 *
 * An append moves idle expiry on, but leaves the stored `expire_time` where it was: that one is
 * never later than this.
 */
export function dueOf(stored: StoredSession): Due | undefined {
  const { session, head } = stored;
  const { expiry, limits } = session;
  if (hasEnded(stored)) return due("retention", session.endTime, expiry?.retention);
  return earliest(
    due("timeout", session.reopenTime ?? session.startTime, limits?.timeout),
    due("ttl", session.createTime, expiry?.ttl),
    due("idle_ttl", head.lastActivityTime, expiry?.idleTtl),
  );
}

/** When the absolute time to live passes. Undefined: never. */
export function ttlMs({ session }: StoredSession): number | undefined {
  return due("ttl", session.createTime, session.expiry?.ttl)?.atMs;
}

function due(
  cause: DueCause,
  from: Timestamp | undefined,
  after: Duration | undefined,
): Due | undefined {
  if (from === undefined || after === undefined) return undefined;
  // Up to a millisecond; a time in between would be due before it is over.
  const atMs = Math.ceil(timestampMs(from) + durationMs(after));
  return { atMs: Math.min(atMs, maxTimestampMs), cause };
}

function earliest(...dues: readonly (Due | undefined)[]): Due | undefined {
  let first: Due | undefined;
  for (const one of dues) {
    if (one !== undefined && (first === undefined || one.atMs < first.atMs)) first = one;
  }
  return first;
}
