import { fromJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { toDuration } from "../duration.ts";
import type { EventInput } from "../event-input.ts";
import type { StepInput } from "./step-details.ts";
import { type StepStatusWord, type StepTypeWord, stepStatuses, stepTypes } from "./words.ts";

/** How a step went. */
export interface StepOutcome {
  readonly type: StepTypeWord;
  readonly name?: string;
  readonly status: StepStatusWord;
  readonly durationMs?: number;
}

/**
 * The events of a step that is over when it is recorded, to be appended as one batch. A call alone is
 * not over: its result completes it.
 */
export function wholeStep(step: StepInput, newId: () => string): readonly EventInput[] {
  const { type } = step;
  switch (step.type) {
    case "thinking":
      return around(type, { thinking: step.details });
    case "output":
      return outputStep(step.details);
    case "error":
      return around(type, { payload: { case: "error", value: step.details } }, "failed");
    case "tool_call": {
      const { callId = newId(), name, input } = step.details;
      return [stepStarted(type, name), toolCall({ callId, name, input })];
    }
    case "tool_result": {
      const { isFinal = true, isError = false } = step.details;
      const status = isError ? "failed" : "succeeded";
      const result = { toolResult: step.details };
      return isFinal ? [result, stepCompleted({ type: "tool_call", status })] : [result];
    }
  }
}

export function stepStarted(type: StepTypeWord, name = ""): EventInput {
  return { payload: { case: "stepStarted", value: { type: stepTypes[type], name } } };
}

export function stepCompleted({ type, name = "", status, durationMs }: StepOutcome): EventInput {
  const value = { type: stepTypes[type], name, status: stepStatuses[status] };
  return {
    payload: { case: "stepCompleted", value },
    ...(durationMs === undefined ? {} : { duration: toDuration("durationMs", durationMs) }),
  };
}

export function toolCall(call: {
  readonly callId: string;
  readonly name: string;
  readonly input: unknown;
}): EventInput {
  const { callId, name, input } = call;
  return { toolCall: { callId, name, arguments: toText(input) } };
}

/** A value as text; structures as JSON where they have such a form. */
export function toText(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** The events of an output. Errors: TypeError for a value that is neither text nor JSON. */
export function outputStep(value: unknown): readonly EventInput[] {
  return around("output", { payload: { case: "output", value: toOutput(value) } });
}

function toOutput(value: unknown): { text: string } | { value: Value } {
  if (typeof value === "string") return { text: value };
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`an output is a text or JSON, not a ${typeof value}`);
  return { value: fromJson(ValueSchema, JSON.parse(text)) };
}

function around(
  type: StepTypeWord,
  event: EventInput,
  status: StepStatusWord = "succeeded",
): readonly EventInput[] {
  return [stepStarted(type), event, stepCompleted({ type, status })];
}
