import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Session, type SessionMetrics, SessionMetricsSchema } from "@sessiond/contract";
import type { StoredSession } from "../store/store.ts";
import { asOf } from "./lifecycle/lapse.ts";
import { withDueTime } from "./lifecycle/transitions.ts";

/** A session as callers see it: its fields and its head in one message. */
export function sessionView(stored: StoredSession): Session {
  const { head } = stored;
  // The stored time is that of the last change of the session; appends move idle expiry along.
  const view: Session = { ...withDueTime(stored).session, headRevision: head.revision };
  if (head.metrics) view.metrics = metricsView(stored);
  if (head.lastActivityTime) view.lastActivityTime = head.lastActivityTime;
  return view;
}

/** The counters of a session as callers see them, with what its own times say. */
export function metricsView({ session, head }: StoredSession): SessionMetrics {
  const metrics = head.metrics ?? create(SessionMetricsSchema);
  const { startTime, endTime = head.lastActivityTime } = session;
  if (startTime === undefined || endTime === undefined) return metrics;
  const ms = Math.max(0, timestampMs(endTime) - timestampMs(startTime));
  return { ...metrics, duration: durationFromMs(ms) };
}

/** What callers see of a session at a time: see `asOf`. */
export function currentView(stored: StoredSession, nowMs: number): Session {
  return sessionView(asOf(stored, nowMs));
}
