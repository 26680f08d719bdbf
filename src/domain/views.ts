import type { Session } from "@sessiond/contract";
import type { StoredSession } from "../store/store.ts";
import { asOf } from "./lifecycle/lapse.ts";
import { withDueTime } from "./lifecycle/transitions.ts";

/** A session as callers see it: its fields and its head in one message. */
export function sessionView(stored: StoredSession): Session {
  const { head } = stored;
  // The stored time is that of the last change of the session; appends move idle expiry along.
  const view: Session = { ...withDueTime(stored).session, headRevision: head.revision };
  if (head.metrics) view.metrics = head.metrics;
  if (head.lastActivityTime) view.lastActivityTime = head.lastActivityTime;
  return view;
}

/** What callers see of a session at a time: see `asOf`. */
export function currentView(stored: StoredSession, nowMs: number): Session {
  return sessionView(asOf(stored, nowMs));
}
