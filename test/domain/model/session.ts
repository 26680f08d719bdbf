import { SessionState } from "@sessiond/contract";
import { counted, type ModelEvent, modelEvent } from "./log.ts";
import { momentsOf, type OpenCall } from "./timeline.ts";

/** What a caller says about a session. Times in milliseconds; absent: none. */
export interface Fields {
  readonly title: string;
  readonly agentId: string;
  readonly userId: string;
  readonly maxSteps?: number | undefined;
  readonly maxTokens?: number | undefined;
  readonly timeoutMs?: number | undefined;
  readonly ttlMs?: number | undefined;
  readonly idleTtlMs?: number | undefined;
  readonly retentionMs?: number | undefined;
  readonly storesThinking: boolean;
}

export interface ModelEnd {
  readonly reason: string;
  readonly errorCode: string;
  readonly limit: string;
}

/** A session of the model: immutable, each change makes another. */
export interface ModelSession {
  /** Learnt from the answer that created it. */
  readonly uid: string;
  readonly fields: Fields;
  readonly state: SessionState;
  readonly createMs: number;
  readonly startMs?: number;
  readonly reopenMs?: number;
  readonly endMs?: number;
  readonly end?: ModelEnd;
  /** When the newest event was appended, or the session created. */
  readonly lastMs: number;
  readonly log: readonly ModelEvent[];
  /** Of a child: uid of the session that it goes with. */
  readonly parentUid?: string | undefined;
  /** Events that it shares with the session it was forked from. */
  readonly inherited?: number;
}

const running: readonly SessionState[] = [SessionState.CREATED, SessionState.ACTIVE];

export function hasEnded({ state }: ModelSession): boolean {
  return !running.includes(state);
}

/** Adds events, all at one time: within a session it never runs backwards. */
export function withEvents(
  session: ModelSession,
  events: readonly ModelEvent[],
  nowMs: number,
): ModelSession {
  if (events.length === 0) return session;
  const atMs = Math.max(nowMs, session.lastMs);
  const added = events.map((event) => ({ ...event, atMs }));
  return { ...session, lastMs: atMs, log: [...session.log, ...added] };
}

/** The first event starts a session that was not started. */
export function started(session: ModelSession, nowMs: number): ModelSession {
  if (session.state !== SessionState.CREATED) return session;
  const active = withEvents(session, [modelEvent("sessionStarted")], nowMs);
  return { ...active, state: SessionState.ACTIVE, startMs: active.lastMs };
}

export function ended(
  session: ModelSession,
  state: SessionState,
  end: Partial<ModelEnd>,
  nowMs: number,
): ModelSession {
  const event = modelEvent("sessionEnded", { state });
  const after = withEvents(started(session, nowMs), [event], nowMs);
  const whole = { reason: "", errorCode: "", limit: "", ...end };
  return { ...after, state, end: whole, endMs: after.lastMs };
}

/** What time does to a session next: end it in a state, or remove it. */
export interface Due {
  readonly atMs: number;
  readonly state: SessionState | "removed";
}

export function dueOf(session: ModelSession): Due | undefined {
  const { timeoutMs, ttlMs, idleTtlMs, retentionMs } = session.fields;
  const due = (from: number | undefined, after: number | undefined, state: Due["state"]): Due[] =>
    from === undefined || after === undefined ? [] : [{ atMs: from + after, state }];
  const dues = hasEnded(session)
    ? due(session.endMs, retentionMs, "removed")
    : [
        ...due(session.reopenMs ?? session.startMs, timeoutMs, SessionState.TIMED_OUT),
        ...due(session.createMs, ttlMs, SessionState.EXPIRED),
        ...due(session.lastMs, idleTtlMs, SessionState.EXPIRED),
      ];
  // Of two at one time the one that stands first.
  return dues.reduce<Due | undefined>(
    (first, one) => (first === undefined || one.atMs < first.atMs ? one : first),
    undefined,
  );
}

/** A session with the end that its time has brought, at the time it was due. */
export function settled(session: ModelSession, nowMs: number): ModelSession {
  const due = dueOf(session);
  if (due === undefined || due.atMs > nowMs || due.state === "removed") return session;
  return ended(session, due.state, {}, due.atMs);
}

/**
 * The limit a session has reached with the newest events of its log, by all of it but the outputs among
 * these. Only steps reach `max_steps`, and only tokens `max_tokens`.
 */
export function reachedLimit(
  { fields, log }: ModelSession,
  events: readonly ModelEvent[],
): "max_steps" | "max_tokens" | undefined {
  const exempt = events.filter(({ kind }) => kind === "output");
  const { steps, tokens } = counted(log);
  const brought = counted(events);
  const spared = counted(exempt);
  const reaches = (max: number | undefined, count: number, by: number) =>
    max !== undefined && by > 0 && count >= max;
  if (reaches(fields.maxSteps, steps - spared.steps, brought.steps)) return "max_steps";
  const count = tokens.total - spared.tokens.total;
  return reaches(fields.maxTokens, count, brought.tokens.total) ? "max_tokens" : undefined;
}

export function openCalls({ log }: ModelSession): readonly OpenCall[] {
  return momentsOf(log).at(-1)?.open ?? [];
}

/** Ids of the calls that were open when a rewind hid them. */
export function lostCalls({ log }: ModelSession): readonly string[] {
  return momentsOf(log).at(-1)?.lost ?? [];
}
