import { type SessionEnd, SessionState, type TraceContext } from "@sessiond/contract";
import type { StoredSession } from "../../store/store.ts";
import { cancelledResults } from "../context/leases.ts";
import type { Outcome } from "../record.ts";
import { settled } from "./lapse.ts";
import { hasEnded } from "./states.ts";
import { recordEnd } from "./transitions.ts";

/**
 * Ends a session as somebody asks; one that is cancelled gets results for its open calls first.
 * Undefined: it had ended before, also by its time, and stays as it is. Pure.
 */
export function endSession(
  before: StoredSession,
  { state, end, trace }: { state: SessionState; end: SessionEnd; trace?: TraceContext | undefined },
  nowMs: number,
): Outcome | undefined {
  if (hasEnded(settled(before, nowMs).after)) return undefined;
  const closing = state === SessionState.CANCELLED ? cancelledResults(before) : [];
  return recordEnd(before, { state, end, closing, trace }, nowMs);
}
