import { create } from "@bufbuild/protobuf";
import { SessionEndSchema, SessionState } from "@sessiond/contract";
import type { StoredSession } from "../../store/store.ts";
import type { Outcome } from "../record.ts";
import { type DueCause, dueOf } from "./due.ts";
import { hasEnded, sessionEnded } from "./states.ts";
import { recordEnd } from "./transitions.ts";

/** How a session ends when its time has come. */
const ends = {
  timeout: { state: SessionState.TIMED_OUT, reason: "limits.timeout passed" },
  ttl: { state: SessionState.EXPIRED, reason: "expiry.ttl passed" },
  idle_ttl: { state: SessionState.EXPIRED, reason: "idle for expiry.idle_ttl" },
} satisfies Record<Exclude<DueCause, "retention">, { state: SessionState; reason: string }>;

/**
 * Ends a session whose time has come, at the time it came; open calls stay as they are. Undefined: it
 * has not come, or the session has ended before. Pure.
 */
export function lapse(before: StoredSession, nowMs: number): Outcome | undefined {
  if (hasEnded(before)) return undefined;
  const due = dueOf(before);
  if (due === undefined || due.atMs > nowMs || due.cause === "retention") return undefined;
  const { state, reason } = ends[due.cause];
  return recordEnd(before, { state, end: create(SessionEndSchema, { reason }) }, due.atMs);
}

/** What later decisions start from: the session as time has left it, and the events of that. */
export function settled(before: StoredSession, nowMs: number): Outcome {
  return lapse(before, nowMs) ?? { after: before, events: [] };
}

/** Errors: SessionEndedError for a session that has ended, also when its time has come. */
export function requireActive(stored: StoredSession, nowMs: number): void {
  const current = asOf(stored, nowMs);
  if (hasEnded(current)) throw sessionEnded(current);
}

/**
 * What a reader may see of a session: one whose time has come has ended, although its `session_ended`
 * is not in the log yet, and so not in its head.
 */
export function asOf(stored: StoredSession, nowMs: number): StoredSession {
  const lapsed = lapse(stored, nowMs);
  return lapsed === undefined ? stored : { session: lapsed.after.session, head: stored.head };
}
