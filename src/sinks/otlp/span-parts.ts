import type { Event, TraceContext } from "@sessiond/contract";
import { ofSession } from "./attributes.ts";
import type { Attributes, SpanRecord } from "./records.ts";
import { recordedSpan, type TraceState } from "./trace-state.ts";
import { msOf, timeMsOf } from "./values.ts";

/** What spans of a session differ in. */
export interface SpanParts extends Pick<SpanRecord, "spanId" | "name" | "startMs" | "endMs"> {
  /** Of the event that began it. */
  readonly trace: TraceContext | undefined;
  readonly attributes: Attributes;
  /** Default: a part of the agent's own work. */
  readonly kind?: SpanRecord["kind"];
  /** Default: the newest run. */
  readonly parentSpanId?: string;
  readonly error?: string | undefined;
}

/** A span below that of the session. */
export function spanOf(state: TraceState, parts: SpanParts): SpanRecord {
  const { trace, kind = "internal", parentSpanId = state.run.spanId, error, ...known } = parts;
  return {
    ...known,
    ...placeOf(state, trace, parentSpanId),
    kind,
    // A clock of an agent is not that of the server.
    startMs: Math.max(0, Math.min(known.startMs, known.endMs)),
    attributes: { ...ofSession(state.subject), ...known.attributes },
    ...(error !== undefined && { error }),
  };
}

/**
 * Where a span with a trace context stands: below the span of the same trace that the context names, unless
 * that is the one the session is below; with a context of another trace, below the session and with a link.
 */
function placeOf(state: TraceState, trace: TraceContext | undefined, parentSpanId: string) {
  const { traceId, tracestate } = state.root;
  const local = { traceId, tracestate, parent: { spanId: parentSpanId, isRemote: false } };
  const remote = recordedSpan(trace);
  if (remote === undefined || remote.spanId === state.remote?.spanId)
    return { ...local, links: [] };
  if (remote.traceId !== traceId) return { ...local, links: [{ to: remote }] };
  const parent = { spanId: remote.spanId, isRemote: true };
  return { traceId, tracestate: remote.tracestate, parent, links: [] };
}

/** A name of an operation and what it is done with, if that is known. */
export function named(operation: string, what: string): string {
  return what === "" ? operation : `${operation} ${what}`;
}

/**
 * When what an event tells of was over, and when it began: by its duration, if it says one, else at
 * `beganMs`, if that is known, else as it ended.
 */
export function timesOf(event: Event, beganMs?: number): Pick<SpanRecord, "startMs" | "endMs"> {
  const endMs = timeMsOf(event);
  const lastedMs = msOf(event.duration);
  return { startMs: lastedMs === undefined ? (beganMs ?? endMs) : endMs - lastedMs, endMs };
}
