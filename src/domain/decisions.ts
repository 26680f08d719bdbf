import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  EventSchema,
  Role,
  type Session,
  type SessionEnd,
  SessionEndedSchema,
  type SessionMetrics,
  SessionMetricsSchema,
  SessionSchema,
  SessionStartedSchema,
  SessionState,
  type TokenCount,
  TokenUsageSchema,
} from "@sessiond/contract";
import { type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import { SessionEndedError } from "../errors.ts";
import { encodedEvent } from "../store/encoded.ts";
import type { StoredSession } from "../store/store.ts";
import { expireTimeMs } from "./expiry.ts";
import { sideOf, traitsOf } from "./payloads.ts";

/*
 * Decisions are pure: from a session, a command and the time to the session and events that
 * follow. Whether and when they are stored is the caller's business.
 */

/** What a decision leads to; the first half of a `Change`. */
export interface Outcome {
  readonly after: StoredSession;
  /** Events to store, numbered. */
  readonly events: readonly Event[];
}

/** An event to append and the tokens of its text. */
export interface EventDraft {
  readonly event: Event;
  readonly tokens?: TokenCount;
}

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
  { uid, nowMs, deferredStart }: { uid: string; nowMs: number; deferredStart: boolean },
): Outcome {
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
 * Appends events, starting a session that was not started.
 *
 * Errors: SessionEndedError.
 */
export function appendEvents(
  before: StoredSession,
  drafts: readonly EventDraft[],
  nowMs: number,
): Outcome {
  if (hasEnded(before)) throw sessionEnded(before);
  if (before.session.state !== SessionState.CREATED) return record(before, drafts, nowMs);
  const started = startSession(before, nowMs);
  const appended = record(started.after, drafts, nowMs);
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
  const event = create(EventSchema, {
    payload: { case: "sessionEnded", value: create(SessionEndedSchema, { state, end }) },
  });
  const outcome = appendEvents(before, [{ event }], nowMs);
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

/** Puts new values of the caller's own fields into a session. Appends nothing. */
export function updateSession(
  before: StoredSession,
  changes: Partial<Session>,
  nowMs: number,
): Outcome {
  const session = bumped({
    ...before.session,
    ...changes,
    updateTime: timestampFromMs(nowMs),
  });
  const lastActivityMs = before.head.lastActivityTime
    ? timestampMs(before.head.lastActivityTime)
    : nowMs;
  return { after: { session: withExpiry(session, lastActivityMs), head: before.head }, events: [] };
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

/** Numbers events (revision, turn, step, time) and counts them into the head. */
function record(before: StoredSession, drafts: readonly EventDraft[], nowMs: number): Outcome {
  const { head } = before;
  const lastMs = head.lastActivityTime ? timestampMs(head.lastActivityTime) : 0;
  // A clock that was set back does not make the session's time run backwards.
  const createTime = timestampFromMs(Math.max(nowMs, lastMs));
  const counts = new Counts(head);
  const events = drafts.map(({ event: draft, tokens }) => {
    const role = draft.role === Role.UNSPECIFIED ? traitsOf(draft).role : draft.role;
    const event: Event = { ...draft, role, createTime };
    if (tokens !== undefined) event.tokens = tokens;
    counts.number(event);
    counts.add(event);
    return event;
  });
  return { after: { session: before.session, head: counts.head(createTime) }, events };
}

/** Callers report what they like; a sum stops at the largest number its field can carry. */
const maxUint32 = 0xffff_ffff;

/** The numbers of a head while events are counted into it. */
class Counts {
  readonly #before: SessionHead;
  readonly #metrics: SessionMetrics;
  #revision: number;
  #turn: number;
  #step: number;
  #windowTokens: number;

  constructor(head: SessionHead) {
    this.#before = head;
    const metrics = head.metrics ?? create(SessionMetricsSchema);
    this.#metrics = { ...metrics, tokens: { ...(metrics.tokens ?? create(TokenUsageSchema)) } };
    this.#revision = head.revision;
    this.#turn = head.turn;
    this.#step = head.step;
    this.#windowTokens = head.windowTokens;
  }

  /** Gives the event its place: the user's first message belongs to turn 0 like all before it. */
  number(event: Event): void {
    event.revision = ++this.#revision;
    if (event.payload.case === "message" && event.role === Role.USER) {
      if (this.#metrics.turns > 0) this.#turn++;
      this.#metrics.turns++;
    }
    event.turn = this.#turn;
    event.step = traitsOf(event).isStep ? ++this.#step : 0;
  }

  add(event: Event): void {
    const metrics = this.#metrics;
    metrics.events++;
    metrics.steps = this.#step;
    if (event.payload.case === "message") metrics.messages++;
    if (event.payload.case === "toolCall") metrics.toolCalls++;
    if (event.payload.case === "error") metrics.errors++;
    if (event.protection !== undefined) metrics.protectedEvents++;
    metrics.storedBytes += encodedEvent(event).length;

    const usage = metrics.tokens ?? create(TokenUsageSchema);
    const tokens = event.tokens?.count ?? 0;
    const side = sideOf(event);
    usage.total += tokens;
    if (side === "input") usage.input += tokens;
    if (side === "output") usage.output += tokens;
    if (side !== "none") this.#windowTokens += tokens;
    if (event.usage !== undefined) {
      const { inputTokens, outputTokens, cost } = event.usage;
      usage.reportedInput = Math.min(usage.reportedInput + inputTokens, maxUint32);
      usage.reportedOutput = Math.min(usage.reportedOutput + outputTokens, maxUint32);
      usage.reportedCost = Math.min(usage.reportedCost + cost, Number.MAX_VALUE);
    }
    metrics.tokens = usage;
  }

  head(lastActivityTime: NonNullable<SessionHead["lastActivityTime"]>): SessionHead {
    return {
      ...this.#before,
      revision: this.#revision,
      turn: this.#turn,
      step: this.#step,
      windowTokens: this.#windowTokens,
      lastActivityTime,
      metrics: this.#metrics,
    };
  }
}
