import { type Session, SessionState } from "@sessiond/contract";
import { SessionEndedError } from "../../errors.ts";
import type { StoredSession } from "../../store/store.ts";

const endedStates: ReadonlySet<SessionState> = new Set([
  SessionState.COMPLETED,
  SessionState.FAILED,
  SessionState.CANCELLED,
  SessionState.TIMED_OUT,
  SessionState.LIMIT_REACHED,
  SessionState.EXPIRED,
]);

/** Its end is stored. One whose time has come has not ended by this: see `asOf`. */
export function hasEnded({ session }: { session: Pick<Session, "state"> }): boolean {
  return endedStates.has(session.state);
}

export function sessionEnded(
  { session }: StoredSession,
  refused: "events" | "children" = "events",
): SessionEndedError {
  const state = SessionState[session.state] as keyof typeof SessionState;
  return new SessionEndedError({ sessionId: session.sessionId, state, refused });
}
