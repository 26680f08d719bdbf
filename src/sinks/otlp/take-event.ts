import { type Event, type StepCompleted, StepType, type ToolCall } from "@sessiond/contract";
import { bodyOf } from "./body.ts";
import type { SpanRecord, SpanRef } from "./records.ts";
import type { SessionFacts } from "./source.ts";
import { spanIdOf } from "./span-ids.ts";
import { chatSpan, compactionSpan, runSpan, stepSpan, toolSpan, unfinishedSpans } from "./spans.ts";
import type { OpenCall, OpenStep, TraceState } from "./trace-state.ts";
import { textOf, timeMsOf } from "./values.ts";

/** Calls, and steps, of a session that are remembered while they are open. */
const maxOpen = 64;
/** Longest text that is remembered with one, in UTF-16 units. */
const maxLength = 4_096;

/** What one event leads to. */
export interface Taken {
  readonly state: TraceState;
  /** Spans that are over with it. */
  readonly spans: readonly SpanRecord[];
  /** The span that the event happened in. */
  readonly span: SpanRef;
}

/** What was looked up for an event. */
export interface Known {
  /** The call that a result answers, of which the state knows nothing. */
  readonly call?: Event | undefined;
  /** The session at its end. */
  readonly facts?: SessionFacts | undefined;
}

/** Takes the next event of a session's log. Pure. */
export function takeEvent(before: TraceState, event: Event, { call, facts }: Known = {}): Taken {
  const { payload, revision } = event;
  const atMs = timeMsOf(event);
  const isResult = payload.case === "toolResult";
  const state: TraceState = { ...before, newest: { revision, atMs, isResult } };
  const taken = (
    changes: Partial<TraceState> = {},
    spans: readonly SpanRecord[] = [],
    spanId = state.run.spanId,
  ): Taken => withUsage(event, { ...state, ...changes }, spans, { ...state.root, spanId });
  const opened = { revision, startMs: atMs, trace: event.trace };
  const ownSpanId = spanIdOf(state.subject.uid, revision);

  switch (payload.case) {
    case "sessionReopened": {
      const run = { ...opened, spanId: ownSpanId, startIsKnown: true };
      return taken({ run, hasEnded: false }, [], ownSpanId);
    }
    case "sessionEnded": {
      const spans = [...unfinishedSpans(state, atMs), runSpan(state, { atMs, event, facts })];
      return taken({ ...nothingOpen, hasEnded: true }, spans);
    }
    case "toolCall":
      return taken(withCall(state, openCall(event, payload.value)), [], ownSpanId);
    case "toolResult": {
      const known = knownCall(state.calls.get(event.callRevision), call);
      const spanId = spanIdOf(state.subject.uid, event.callRevision || revision);
      if (payload.value.isFinal === false) return taken({}, [], spanId);
      const calls = new Map(state.calls);
      calls.delete(event.callRevision);
      return taken({ calls }, [toolSpan(state, known, event)], spanId);
    }
    case "stepStarted": {
      const { type, name } = payload.value;
      const step = { ...opened, type, name, input: short(textOf(bodyOf(event))), isClaimed: false };
      return taken({ steps: [...state.steps, step].slice(-maxOpen) }, [], ownSpanId);
    }
    case "stepCompleted": {
      const step = state.steps.findLast((open) => completes(payload.value, open));
      const steps = state.steps.filter((open) => open !== step);
      // Behind a result whose step began before anything that is known it is that call's.
      const isCall =
        step?.isClaimed ?? (before.newest.isResult && payload.value.type === StepType.TOOL_CALL);
      if (isCall) return taken({ steps });
      const span = stepSpan(state, step, event);
      return taken({ steps }, [span], span.spanId);
    }
    case "compactionDue":
      return taken({ due: opened });
    case "compaction":
      return taken({ due: undefined }, [compactionSpan(state, state.due, event)], ownSpanId);
    default:
      return taken();
  }
}

/** Takes a deletion: a session that had not ended is over. */
export function takeDeletion(state: TraceState, atMs: number): readonly SpanRecord[] {
  if (state.hasEnded) return [];
  return [...unfinishedSpans(state, atMs), runSpan(state, { atMs })];
}

const nothingOpen = { calls: new Map(), steps: [], due: undefined } as const;

/** With the span of the model call that the event reports. */
function withUsage(
  event: Event,
  state: TraceState,
  spans: readonly SpanRecord[],
  span: SpanRef,
): Taken {
  if (event.usage === undefined) return { state, spans, span };
  const chat = chatSpan(state, event);
  const isCall = event.payload.case === "toolCall";
  return { state, spans: [...spans, chat], span: isCall ? span : chat };
}

function openCall(event: Event, { callId, name, arguments: text }: ToolCall): OpenCall {
  const { revision, trace } = event;
  return { revision, trace, startMs: timeMsOf(event), callId, name, arguments: short(text) };
}

/** What is remembered of a call, with what was looked up. */
function knownCall(known: OpenCall | undefined, event: Event | undefined): OpenCall | undefined {
  if (event?.payload.case !== "toolCall") return known;
  const { value } = event.payload;
  return { ...(known ?? openCall(event, value)), arguments: value.arguments };
}

function short(text: string | undefined): string | undefined {
  return text !== undefined && text.length > maxLength ? undefined : text;
}

/** The call is what the newest step that waits for one is about, and begins with it. */
function withCall(state: TraceState, call: OpenCall): Pick<TraceState, "calls" | "steps"> {
  const step = state.steps.findLast(
    ({ type, name, isClaimed }) =>
      type === StepType.TOOL_CALL && !isClaimed && (name === "" || name === call.name),
  );
  const steps = state.steps.map((open) => (open === step ? { ...open, isClaimed: true } : open));
  const startMs = step?.startMs ?? call.startMs;
  const calls = new Map(state.calls).set(call.revision, { ...call, startMs });
  const [oldest] = calls.keys();
  if (calls.size > maxOpen && oldest !== undefined) calls.delete(oldest);
  return { calls, steps };
}

function completes({ type, name }: StepCompleted, step: OpenStep): boolean {
  const isOfType = type === StepType.UNSPECIFIED || type === step.type;
  return isOfType && (name === "" || step.name === "" || name === step.name);
}
