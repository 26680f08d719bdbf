import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  EventSchema,
  type Session,
  type SessionEnd,
  SessionEndedSchema,
  SessionSchema,
  SessionStartedSchema,
  SessionState,
} from "@sessiond/contract";
import { ContextStateSchema, type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import { SessionEndedError } from "../errors.ts";
import type { StoredSession } from "../store/store.ts";
import type { InstructionCounts } from "./context/instruction-sizes.ts";
import { deadCallResults } from "./context/leases.ts";
import type { ReasonOf } from "./context/state.ts";
import { expireTimeMs } from "./expiry.ts";
import { type EventDraft, type Outcome, record } from "./record.ts";

/*
 * Decisions are pure: from a session, a command and the time to the session and events that
 * follow. Whether and when they are stored is the caller's business.
 */

const endedStates: ReadonlySet<SessionState> = new Set([
  SessionState.COMPLETED,
  SessionState.FAILED,
  SessionState.CANCELLED,
  SessionState.TIMED_OUT,
  SessionState.LIMIT_REACHED,
  SessionState.EXPIRED,
]);

export function hasEnded({ session }: StoredSession): boolean {
  return endedStates.has(session.state);
}

/**
 * Makes a session from the caller's fields, ACTIVE with `session_started` as its first event, or
 * CREATED with an empty log when its start is deferred.
 */
export function createSession(
  fields: Session,
  args: {
    uid: string;
    nowMs: number;
    deferredStart: boolean;
    /** Tokens of instructions and tools. Default: there are none. */
    instructions?: InstructionCounts;
  },
): Outcome {
  const { uid, nowMs, deferredStart, instructions } = args;
  const now = timestampFromMs(nowMs);
  const session = withExpiry(
    create(SessionSchema, {
      ...fields,
      uid,
      state: SessionState.CREATED,
      createTime: now,
      updateTime: now,
      etag: "1",
    }),
    nowMs,
  );
  const head = create(SessionHeadSchema, {
    lastActivityTime: now,
    metrics: { tokens: {} },
    context: { ...instructions },
  });
  const created = { session, head };
  return deferredStart ? { after: created, events: [] } : startSession(created, nowMs);
}

function startSession(before: StoredSession, nowMs: number): Outcome {
  const { agentId, model, goal } = before.session;
  const started = create(EventSchema, {
    payload: {
      case: "sessionStarted",
      value: create(SessionStartedSchema, { agentId, model, goal }),
    },
  });
  const active: StoredSession = {
    session: { ...before.session, state: SessionState.ACTIVE, startTime: timestampFromMs(nowMs) },
    head: before.head,
  };
  return record(active, [{ event: started }], nowMs);
}

/**
 * Appends what a caller sends, starting a session that was not started. Calls that are dead by now
 * are closed in front of it, so the caller's events are the last ones of the outcome.
 *
 * Errors: SessionEndedError, ProtectedBudgetExceededError.
 */
export function appendEvents(
  before: StoredSession,
  drafts: readonly EventDraft[],
  nowMs: number,
  ruleReason?: ReasonOf,
): Outcome {
  return append(before, [...deadCallResults(before, drafts, nowMs), ...drafts], nowMs, ruleReason);
}

/** Appends a record of the server's own. Errors: as `appendEvents`. */
export function appendRecord(
  before: StoredSession,
  payload: Event["payload"],
  nowMs: number,
): Outcome {
  return append(before, [{ event: create(EventSchema, { payload }) }], nowMs);
}

function append(
  before: StoredSession,
  drafts: readonly EventDraft[],
  nowMs: number,
  ruleReason?: ReasonOf,
): Outcome {
  if (hasEnded(before)) throw sessionEnded(before);
  if (before.session.state !== SessionState.CREATED) {
    return record(before, drafts, nowMs, ruleReason);
  }
  const started = startSession(before, nowMs);
  const appended = record(started.after, drafts, nowMs, ruleReason);
  return { after: appended.after, events: [...started.events, ...appended.events] };
}

/**
 * Ends a session with `session_ended`, after `session_started` if it was never started. Undefined:
 * it had ended before and stays as it is.
 */
export function endSession(
  before: StoredSession,
  { state, end }: { state: SessionState; end: SessionEnd },
  nowMs: number,
): Outcome | undefined {
  if (hasEnded(before)) return undefined;
  const value = create(SessionEndedSchema, { state, end });
  const outcome = appendRecord(before, { case: "sessionEnded", value }, nowMs);
  const { expireTime: _never, ...session } = outcome.after.session;
  return {
    after: {
      session: bumped({
        ...session,
        state,
        end,
        endTime: outcome.after.head.lastActivityTime ?? timestampFromMs(nowMs),
      }),
      head: outcome.after.head,
    },
    events: outcome.events,
  };
}

/**
 * Puts new values of the caller's own fields into a session. Appends nothing. `instructions`: tokens
 * of instructions and tools afterwards.
 */
export function updateSession(
  before: StoredSession,
  changes: Partial<Session>,
  nowMs: number,
  instructions?: InstructionCounts,
): Outcome {
  const session = bumped({
    ...before.session,
    ...changes,
    updateTime: timestampFromMs(nowMs),
  });
  const lastActivityMs = before.head.lastActivityTime
    ? timestampMs(before.head.lastActivityTime)
    : nowMs;
  const head = withInstructions(before.head, instructions);
  return { after: { session: withExpiry(session, lastActivityMs), head }, events: [] };
}

function withInstructions(head: SessionHead, counts: InstructionCounts | undefined): SessionHead {
  const context = head.context ?? create(ContextStateSchema);
  const { instructionTokens, toolTokens } = counts ?? context;
  if (instructionTokens === context.instructionTokens && toolTokens === context.toolTokens) {
    return head;
  }
  return { ...head, context: { ...context, instructionTokens, toolTokens } };
}

export function sessionEnded({ session }: StoredSession): SessionEndedError {
  const state = SessionState[session.state] as keyof typeof SessionState;
  return new SessionEndedError({ sessionId: session.sessionId, state });
}

function bumped(session: Session): Session {
  return { ...session, etag: String(Number(session.etag) + 1) };
}

function withExpiry(session: Session, lastActivityMs: number): Session {
  const dueMs = expireTimeMs(session, lastActivityMs);
  const { expireTime: _old, ...rest } = session;
  return dueMs === undefined ? rest : { ...rest, expireTime: timestampFromMs(dueMs) };
}
