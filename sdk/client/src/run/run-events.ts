import { toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Event } from "@sessiond/contract";
import type { SessionEvent } from "../session-event.ts";
import { wordFor } from "../words.ts";
import { type RunEventName, runEventNames } from "./event-names.ts";
import { type RunStatus, runStatusOf, type StepStatusWord, stepStatuses } from "./words.ts";

/** One event in the stream of a run. */
export interface RunEvent {
  readonly type: RunEventName;
  /** Step it belongs to, from 1; 0 for `session_start` and `done`. */
  readonly stepNumber: number;
  /**
   * The goal, the thought, the arguments of a call, the result, the output, the error's message, or
   * why the run is done; structures as JSON. Empty for `step_start` and `step_complete`.
   */
  readonly content: string;
  /** Name of the tool; empty where there is none. */
  readonly toolName: string;
  /** Of `done` what became of the run, of `tool_result` and `step_complete` whether it worked. */
  readonly status: RunStatus | StepStatusWord | undefined;
  /** The event of the log. */
  readonly event: SessionEvent;
}

/**
 * Turns the events of a session, from its first on, into the stream of a run, by the table of
 * `runEventNames`.
 *
 * The number of a `step_start` is the one that the next step gets; where steps run side by side, it
 * may become another's.
 *
 * ```ts
 * for await (const { type, stepNumber, content } of runEvents(session.watch())) {
 *   console.log(type, stepNumber, content);
 * }
 * ```
 */
export async function* runEvents(events: AsyncIterable<SessionEvent>): AsyncGenerator<RunEvent> {
  const toolNames = new Map<string, string>();
  let step = 0;
  for await (const event of events) {
    const { payload } = event.message;
    step = Math.max(step, event.step);
    const type = nameOf(payload.case);
    if (type === undefined) continue;
    const { toolCall, toolResult } = event;
    if (toolCall !== undefined) toolNames.set(toolCall.callId, toolCall.name);
    yield {
      type,
      stepNumber: stepNumberOf(type, step),
      content: contentOf(payload),
      toolName: toolNameOf(payload, toolNames),
      status: statusOf(payload),
      event,
    };
    if (toolResult?.isFinal) toolNames.delete(toolResult.callId);
  }
}

function nameOf(payload: Event["payload"]["case"]): RunEventName | undefined {
  const names: Readonly<Record<string, RunEventName>> = runEventNames;
  return payload === undefined ? undefined : names[payload];
}

function stepNumberOf(type: RunEventName, newest: number): number {
  if (type === "session_start" || type === "done") return 0;
  return type === "step_start" ? newest + 1 : newest;
}

function contentOf(payload: Event["payload"]): string {
  switch (payload.case) {
    case "sessionStarted":
      return payload.value.goal;
    case "thinking":
      return payload.value.text;
    case "toolCall":
      return payload.value.arguments;
    case "toolResult":
      return payload.value.content;
    case "output":
      return payload.value.text || jsonOf(payload.value.value);
    case "error":
      return payload.value.message;
    case "sessionEnded":
      return payload.value.end?.reason || (payload.value.end?.errorMessage ?? "");
    default:
      return "";
  }
}

function toolNameOf(payload: Event["payload"], toolNames: ReadonlyMap<string, string>): string {
  switch (payload.case) {
    case "toolCall":
    case "stepStarted":
    case "stepCompleted":
      return payload.value.name;
    case "toolResult":
      return toolNames.get(payload.value.callId) ?? "";
    default:
      return "";
  }
}

function statusOf(payload: Event["payload"]): RunEvent["status"] {
  switch (payload.case) {
    case "toolResult":
      return payload.value.isError ? "failed" : "succeeded";
    case "stepCompleted":
      return wordFor(stepStatuses, payload.value.status);
    case "sessionEnded":
      return runStatusOf(payload.value);
    default:
      return undefined;
  }
}

function jsonOf(value: Value | undefined): string {
  return value === undefined ? "" : JSON.stringify(toJson(ValueSchema, value));
}
