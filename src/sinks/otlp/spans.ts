import { type Event, SessionState, StepType } from "@sessiond/contract";
import { stateWords } from "../../domain/lifecycle/state-words.ts";
import { known, ofEvent, ofModel, ofUsage } from "./attributes.ts";
import { bodyOf } from "./body.ts";
import { operations, otherError, own, spanNames, standard, stepWords } from "./names.ts";
import { ofPayload } from "./payload-attributes.ts";
import type { Attributes, SpanRecord } from "./records.ts";
import type { SessionFacts } from "./source.ts";
import { spanIdOf } from "./span-ids.ts";
import { named, spanOf, timesOf } from "./span-parts.ts";
import type { Open, OpenCall, OpenStep, TraceState } from "./trace-state.ts";
import { textOf } from "./values.ts";

const { ATTR_GEN_AI_OPERATION_NAME: operation, ATTR_ERROR_TYPE: errorType } = standard;
const chat = operations.GEN_AI_OPERATION_NAME_VALUE_CHAT;
const executeTool = operations.GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL;
const invokeAgent = operations.GEN_AI_OPERATION_NAME_VALUE_INVOKE_AGENT;

/** How a run ended. */
export interface RunEnd {
  readonly atMs: number;
  /** `session_ended`. Absent: the session was deleted. */
  readonly event?: Event;
  /** The session as it is now. Absent: it is gone. */
  readonly facts?: SessionFacts | undefined;
}

/** The span of a session: from its start, or from being reopened, to its end. */
export function runSpan(state: TraceState, { atMs, event, facts }: RunEnd): SpanRecord {
  const { root, run, subject, remote, links } = state;
  const ended = event?.payload.case === "sessionEnded" ? event.payload.value : undefined;
  const word = ended === undefined ? "deleted" : stateWords[ended.state];
  const hasFailed = ended?.state === SessionState.FAILED || ended?.state === SessionState.TIMED_OUT;
  const span = spanOf(state, {
    spanId: run.spanId,
    parentSpanId: root.spanId,
    trace: run.trace,
    name: named(invokeAgent, subject.agentId),
    startMs: run.startMs,
    endMs: Math.max(run.startMs, atMs),
    attributes: {
      ...ofModel(subject.model),
      ...known({
        [operation]: invokeAgent,
        [own.sessionState]: word,
        [own.sessionLimit]: ended?.end?.limit,
        [own.firstRevision]: run.revision,
        [own.lastRevision]: event?.revision,
        [standard.ATTR_GEN_AI_USAGE_INPUT_TOKENS]: facts?.inputTokens || undefined,
        [standard.ATTR_GEN_AI_USAGE_OUTPUT_TOKENS]: facts?.outputTokens || undefined,
        [errorType]: hasFailed ? ended?.end?.errorCode || word : undefined,
        [own.startUnknown]: run.startIsKnown ? undefined : true,
      }),
    },
    ...(hasFailed && { error: ended?.end?.errorMessage ?? "" }),
  });
  if (run.spanId !== root.spanId) return span;
  return { ...span, ...root, parent: remote && { spanId: remote.spanId, isRemote: true }, links };
}

/** The span of a tool call; without `call` only its result is known. */
export function toolSpan(state: TraceState, call: OpenCall | undefined, result: Event): SpanRecord {
  const hasFailed = result.payload.case === "toolResult" && result.payload.value.isError;
  const revision = call?.revision ?? (result.callRevision || result.revision);
  return spanOf(state, {
    spanId: spanIdOf(state.subject.uid, revision),
    trace: call?.trace ?? result.trace,
    name: named(executeTool, call?.name ?? ""),
    ...timesOf(result, call?.startMs),
    attributes: {
      ...ofEvent(result),
      ...ofPayload(result),
      ...ofCall(call),
      ...known({
        [standard.ATTR_GEN_AI_TOOL_CALL_RESULT]: textOf(bodyOf(result)),
        [errorType]: hasFailed ? otherError : undefined,
        [own.startUnknown]: call === undefined ? true : undefined,
      }),
    },
    ...(hasFailed && { error: "" }),
  });
}

function ofCall(call: OpenCall | undefined): Attributes {
  return known({
    [operation]: executeTool,
    [standard.ATTR_GEN_AI_TOOL_NAME]: call?.name,
    [standard.ATTR_GEN_AI_TOOL_CALL_ARGUMENTS]: call?.arguments,
  });
}

/** The span of a step; without `step` only its completion is known. */
export function stepSpan(state: TraceState, step: OpenStep | undefined, done: Event): SpanRecord {
  const payload = ofPayload(done);
  const hasFailed = payload[own.stepStatus] === "failed";
  const said = done.payload.case === "stepCompleted" ? done.payload.value : undefined;
  const type = said?.type || step?.type;
  const name = said?.name || step?.name;
  return spanOf(state, {
    spanId: spanIdOf(state.subject.uid, step?.revision ?? done.revision),
    trace: step?.trace ?? done.trace,
    name: stepName(type, name),
    ...timesOf(done, step?.startMs),
    attributes: {
      ...ofEvent(done),
      ...payload,
      ...ofStep(type, name),
      ...known({
        [own.input]: step?.input,
        [own.output]: textOf(bodyOf(done)),
        [errorType]: hasFailed ? otherError : undefined,
        [own.startUnknown]: step === undefined ? true : undefined,
      }),
    },
    ...(hasFailed && { error: "" }),
  });
}

function stepName(type: StepType = StepType.UNSPECIFIED, name = ""): string {
  if (type === StepType.TOOL_CALL) return named(executeTool, name);
  return named(named(spanNames.step, stepWords[type]), name);
}

function ofStep(type: StepType = StepType.UNSPECIFIED, name = ""): Attributes {
  const isTool = type === StepType.TOOL_CALL;
  return known({
    [own.stepType]: stepWords[type],
    [own.stepName]: name,
    [operation]: isTool ? executeTool : undefined,
    [standard.ATTR_GEN_AI_TOOL_NAME]: isTool ? name : undefined,
  });
}

/** The span of a model call, which an event reports with its usage. */
export function chatSpan(state: TraceState, event: Event): SpanRecord {
  const { uid, model } = state.subject;
  return spanOf(state, {
    spanId: spanIdOf(uid, event.revision, "chat"),
    trace: event.trace,
    name: named(chat, model || (event.usage?.model ?? "")),
    kind: "client",
    ...timesOf(event),
    attributes: {
      ...ofEvent(event),
      ...ofModel(model || (event.usage?.model ?? "")),
      ...ofUsage(event),
      [operation]: chat,
    },
  });
}

/** The span of a compaction, from when the agent was asked for its summary, if it was. */
export function compactionSpan(state: TraceState, due: Open | undefined, event: Event): SpanRecord {
  return spanOf(state, {
    spanId: spanIdOf(state.subject.uid, event.revision),
    trace: event.trace,
    name: spanNames.compaction,
    ...timesOf(event, due?.startMs),
    attributes: { ...ofEvent(event), ...ofPayload(event) },
  });
}

/** Spans of what nobody said to be over when the run was. */
export function unfinishedSpans(state: TraceState, atMs: number): SpanRecord[] {
  const { uid } = state.subject;
  const unfinished = (open: Open, name: string, attributes: Attributes) =>
    spanOf(state, {
      spanId: spanIdOf(uid, open.revision),
      trace: open.trace,
      name,
      startMs: open.startMs,
      endMs: Math.max(open.startMs, atMs),
      attributes: { ...attributes, [own.revision]: open.revision, [own.unfinished]: true },
    });
  return [
    ...[...state.calls.values()].map((call) =>
      unfinished(call, named(executeTool, call.name), {
        ...ofCall(call),
        [standard.ATTR_GEN_AI_TOOL_CALL_ID]: call.callId,
      }),
    ),
    ...state.steps
      .filter(({ isClaimed }) => !isClaimed)
      .map((step) =>
        unfinished(step, stepName(step.type, step.name), ofStep(step.type, step.name)),
      ),
  ];
}
