import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  EventSchema,
  SessionReopenedSchema,
  SessionState,
  type TraceContext,
} from "@sessiond/contract";
import { SessionTtlPassedError } from "../../errors.ts";
import type { StoredSession } from "../../store/store.ts";
import { type Outcome, record } from "../record.ts";
import { ttlMs } from "./due.ts";
import { settled } from "./lapse.ts";
import { hasEnded } from "./states.ts";
import { bumped, withDueTime } from "./transitions.ts";

/**
 * Makes an ended session ACTIVE with `session_reopened`; its end is in the log. Undefined: it has not
 * ended and stays as it is. Pure.
 *
 * Errors: SessionTtlPassedError.
 */
export function reopenSession(
  before: StoredSession,
  reason: string,
  nowMs: number,
  trace?: TraceContext | undefined,
): Outcome | undefined {
  const ended = settled(before, nowMs);
  if (!hasEnded(ended.after)) return undefined;
  const expireTimeMs = ttlMs(ended.after);
  if (expireTimeMs !== undefined && expireTimeMs <= nowMs) {
    throw new SessionTtlPassedError({ sessionId: before.session.sessionId, expireTimeMs });
  }
  const { end: _end, endTime: _endTime, ...session } = ended.after.session;
  const value = create(SessionReopenedSchema, { from: session.state, reason });
  const event = create(EventSchema, {
    payload: { case: "sessionReopened", value },
    ...(trace && { trace }),
  });
  const { after, events } = record(ended.after, [{ event }], nowMs);
  const reopenTime = after.head.lastActivityTime ?? timestampFromMs(nowMs);
  const active = bumped({ ...session, state: SessionState.ACTIVE, reopenTime });
  return {
    after: withDueTime({ session: active, head: after.head }),
    events: [...ended.events, ...events],
  };
}
