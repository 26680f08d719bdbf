import { type Duration, durationMs, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Event, type Session, SessionState } from "@sessiond/contract";
import { type Counters, counted, type Numbers } from "./log.ts";
import { dueOf, type Fields, type ModelEnd, type ModelSession } from "./session.ts";

/** What is compared of a session: what the server answers, and what the model expects. */
export type Shown = Omit<Fields, "storesThinking"> & {
  readonly state: keyof typeof SessionState;
  readonly uid: string;
  readonly createMs: number | undefined;
  readonly startMs: number | undefined;
  readonly reopenMs: number | undefined;
  readonly endMs: number | undefined;
  readonly lastMs: number | undefined;
  readonly expireMs: number | undefined;
  readonly end: ModelEnd | undefined;
  readonly headRevision: number;
  readonly counters: Counters;
};

/** States whose reason the server words by itself; its words are not compared. */
const ownWords: readonly SessionState[] = [
  SessionState.TIMED_OUT,
  SessionState.LIMIT_REACHED,
  SessionState.EXPIRED,
];

export function expected(session: ModelSession): Shown {
  const { storesThinking: _, ...fields } = session.fields;
  const { uid, createMs, startMs, reopenMs, endMs, lastMs, end, log } = session;
  return {
    ...{
      maxSteps: undefined,
      maxTokens: undefined,
      timeoutMs: undefined,
      ttlMs: undefined,
      idleTtlMs: undefined,
      retentionMs: undefined,
    },
    ...fields,
    ...{ uid, createMs, startMs, reopenMs, endMs, lastMs },
    state: stateName(session.state),
    expireMs: dueOf(session)?.atMs,
    end: end && compared(end, session.state),
    headRevision: log.length,
    counters: counted(log),
  };
}

export function actual(session: Session): Shown {
  const { title, agentId, userId, uid, limits, expiry, end, headRevision, metrics } = session;
  const {
    events = 0,
    messages = 0,
    turns = 0,
    steps = 0,
    toolCalls = 0,
    errors = 0,
  } = metrics ?? {};
  const { total = 0, input = 0, output = 0 } = metrics?.tokens ?? {};
  const requests = metrics?.requests;
  return {
    ...{ title, agentId, userId, uid, headRevision },
    maxSteps: limits?.maxSteps,
    maxTokens: limits?.maxTokens,
    timeoutMs: spanMs(limits?.timeout),
    ttlMs: spanMs(expiry?.ttl),
    idleTtlMs: spanMs(expiry?.idleTtl),
    retentionMs: spanMs(expiry?.retention),
    state: stateName(session.state),
    createMs: timeMs(session.createTime),
    startMs: timeMs(session.startTime),
    reopenMs: timeMs(session.reopenTime),
    endMs: timeMs(session.endTime),
    lastMs: timeMs(session.lastActivityTime),
    expireMs: timeMs(session.expireTime),
    end: end && compared(end, session.state),
    counters: {
      ...{ events, messages, turns, steps, toolCalls, errors },
      tokens: { total, input, output },
      requests: {
        count: requests?.count ?? 0,
        errors: requests?.errors ?? 0,
        ms: spanMs(requests?.processingTime) ?? 0,
      },
    },
  };
}

export function numbersOf(event: Event): Numbers {
  const { payload, revision, turn, step, tokens, createTime } = event;
  if (payload.case === undefined) throw new Error(`event ${revision} has no payload`);
  const atMs = timeMs(createTime) ?? 0;
  return { kind: payload.case, revision, turn, step, atMs, tokens: tokens?.count ?? 0 };
}

export function stateName(state: SessionState): keyof typeof SessionState {
  return SessionState[state] as keyof typeof SessionState;
}

function compared({ reason, errorCode, limit }: ModelEnd, state: SessionState): ModelEnd {
  return { reason: ownWords.includes(state) ? "" : reason, errorCode, limit };
}

function timeMs(time: Timestamp | undefined): number | undefined {
  return time && timestampMs(time);
}

function spanMs(span: Duration | undefined): number | undefined {
  return span && durationMs(span);
}
