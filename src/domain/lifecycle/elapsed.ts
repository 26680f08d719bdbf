import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { StoredSession } from "../../store/store.ts";

/** Milliseconds since the creation of a session. */
export function ageMs({ session }: StoredSession, nowMs: number): number {
  return Math.max(0, nowMs - (session.createTime ? timestampMs(session.createTime) : 0));
}

/**
 * Milliseconds since its newest event; of one that has none, since its creation. Never more than its
 * age, also where a clock was set back.
 */
export function idleMs(stored: StoredSession, nowMs: number): number {
  const { lastActivityTime } = stored.head;
  const age = ageMs(stored, nowMs);
  if (lastActivityTime === undefined) return age;
  return Math.min(age, Math.max(0, nowMs - timestampMs(lastActivityTime)));
}
