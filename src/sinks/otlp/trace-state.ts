import type { Event, StepType, TraceContext } from "@sessiond/contract";
import { parseTraceparent } from "../../domain/trace-context.ts";
import type { Subject } from "./attributes.ts";
import type { SpanRecord, SpanRef } from "./records.ts";
import { spanIdOf, traceIdOf } from "./span-ids.ts";
import { timeMsOf } from "./values.ts";

/** Something that has begun and is not over. */
export interface Open {
  readonly revision: number;
  readonly startMs: number;
  /** Of the event that began it. */
  readonly trace: TraceContext | undefined;
}

export interface OpenCall extends Open {
  readonly callId: string;
  readonly name: string;
  /** Empty: content stays here, or there are none. Undefined: too long to be remembered. */
  readonly arguments: string | undefined;
}

export interface OpenStep extends Open {
  readonly type: StepType;
  readonly name: string;
  /** Absent: content stays here, there is none, or it is too long to be remembered. */
  readonly input: string | undefined;
  /** A tool call is what the step is about, so the span of the call is that of the step. */
  readonly isClaimed: boolean;
}

/** A session from its start, or from being reopened, to its end. */
export interface Run extends Open {
  readonly spanId: string;
  readonly startIsKnown: boolean;
}

/** What the trace of a session needs of the past to go on. Never changed: the next is another one. */
export interface TraceState {
  readonly subject: Subject;
  /** The span of the session. */
  readonly root: SpanRef;
  /** The span of somebody else that the session is part of. Absent: its trace is its own. */
  readonly remote: SpanRef | undefined;
  /** Spans of other sessions that it comes from. */
  readonly links: SpanRecord["links"];
  /** The session whose log a fork has in front of its own, up to a revision. */
  readonly shared:
    | { readonly sessionId: string; readonly uid: string; readonly revision: number }
    | undefined;
  readonly run: Run;
  /** By the revisions of the calls; the oldest are forgotten when there are too many. */
  readonly calls: ReadonlyMap<number, OpenCall>;
  readonly steps: readonly OpenStep[];
  /** A summary that the agent was asked for. */
  readonly due: Open | undefined;
  /** The newest run is over, and its span was made. */
  readonly hasEnded: boolean;
  readonly newest: Pick<Event, "revision"> & { readonly atMs: number; readonly isResult: boolean };
}

/**
 * The state in front of a session's own first event. It is part of the trace of the work that started the
 * session, if that event carries a trace context that somebody records; else the trace is its own.
 */
export function initialState(args: {
  subject: Subject;
  /** The first event of the session's own log. Undefined: it is gone. */
  first: Event | undefined;
  /** Revision that it has or had. */
  firstRevision: number;
  /** Time of the first event that is known. */
  knownSinceMs: number;
  links: SpanRecord["links"];
  shared: TraceState["shared"];
}): TraceState {
  const { subject, first, firstRevision, knownSinceMs, links, shared } = args;
  const { uid } = subject;
  const remote = recordedSpan(first?.trace);
  const spanId = spanIdOf(uid, firstRevision);
  const startMs = first === undefined ? knownSinceMs : timeMsOf(first);
  const traceId = remote?.traceId ?? traceIdOf(uid);
  const startIsKnown = first !== undefined;
  const trace = first?.trace;
  return {
    subject,
    root: { traceId, spanId, tracestate: remote?.tracestate },
    remote,
    links,
    shared,
    run: { spanId, revision: firstRevision, startMs, startIsKnown, trace },
    calls: new Map(),
    steps: [],
    due: undefined,
    hasEnded: false,
    newest: { revision: 0, atMs: startMs, isResult: false },
  };
}

/**
 * The span that a trace context names. Undefined: there is none, it is malformed, or nobody records it: a
 * span below it would have a parent that no receiver has.
 */
export function recordedSpan(trace: TraceContext | undefined): SpanRef | undefined {
  const parsed = trace && parseTraceparent(trace.traceparent);
  if (parsed === undefined || !parsed.sampled) return undefined;
  const { traceId, spanId } = parsed;
  return { traceId, spanId, tracestate: trace?.tracestate || undefined };
}
