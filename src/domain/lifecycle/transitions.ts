import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  EventSchema,
  type Session,
  type SessionEnd,
  SessionEndedSchema,
  SessionStartedSchema,
  SessionState,
  type TraceContext,
} from "@sessiond/contract";
import type { StoredSession } from "../../store/store.ts";
import { type EventDraft, type Outcome, record } from "../record.ts";
import { dueOf } from "./due.ts";

/*
 * The steps that decisions are made of. Each is an event, and the state that follows from it.
 */

/** Starts a session. `trace` is that of the work that does it. */
export function startSession(
  before: StoredSession,
  nowMs: number,
  trace?: TraceContext | undefined,
): Outcome {
  const { agentId, model, goal } = before.session;
  const started = create(EventSchema, {
    payload: {
      case: "sessionStarted",
      value: create(SessionStartedSchema, { agentId, model, goal }),
    },
    ...(trace && { trace }),
  });
  const active: StoredSession = {
    session: { ...before.session, state: SessionState.ACTIVE },
    head: before.head,
  };
  const { after, events } = record(active, [{ event: started }], nowMs);
  // The time of the event, which a clock that was set back does not put in front of the creation.
  const startTime = after.head.lastActivityTime ?? timestampFromMs(nowMs);
  const session = { ...after.session, startTime };
  return { after: withDueTime({ session, head: after.head }), events };
}

/**
 * Ends a session that has not ended, after `closing` events if there are any. One that was never
 * started starts first: no log has an end without a beginning.
 */
export function recordEnd(
  before: StoredSession,
  args: {
    state: SessionState;
    end: SessionEnd;
    closing?: readonly EventDraft[];
    trace?: TraceContext | undefined;
  },
  nowMs: number,
): Outcome {
  const { state, end, closing = [], trace } = args;
  const started =
    before.session.state === SessionState.CREATED
      ? startSession(before, nowMs, trace)
      : { after: before, events: [] };
  const event = create(EventSchema, {
    payload: { case: "sessionEnded", value: create(SessionEndedSchema, { state, end }) },
    ...(trace && { trace }),
  });
  const { after, events } = record(started.after, [...closing, { event }], nowMs);
  const endTime = after.head.lastActivityTime ?? timestampFromMs(nowMs);
  const session = bumped({ ...after.session, state, end, endTime });
  return {
    after: withDueTime({ session, head: after.head }),
    events: [...started.events, ...events],
  };
}

/** The session under its next etag. */
export function bumped(session: Session): Session {
  return { ...session, etag: String(Number(session.etag) + 1) };
}

/** Sets the time by which the store finds the session again. */
export function withDueTime(stored: StoredSession): StoredSession {
  const due = dueOf(stored);
  const { expireTime: _old, ...session } = stored.session;
  if (due !== undefined) {
    return { ...stored, session: { ...session, expireTime: timestampFromMs(due.atMs) } };
  }
  return { ...stored, session };
}
