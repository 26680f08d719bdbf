import { create, toJson } from "@bufbuild/protobuf";
import { durationFromMs, timestampMs, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Event, type Step, StepSchema, StepStatus, StepType } from "@sessiond/contract";
import { textOf } from "../payloads.ts";

/**
 * Reads the steps of a log out of its events, taken one by one in order.
 *
 * An event that records a step is one; a `step_started` in front of it belongs to it, and so does what
 * `step_completed` says behind it. A step is whole when the next begins.
 */
export class StepReader {
  #started: Event | undefined;
  #current: Step | undefined;

  /** Takes an event, with the call it answers. Gives the step that is whole in front of it. */
  take(event: Event, call?: Event): Step | undefined {
    if (event.payload.case === "stepStarted") {
      const whole = this.end();
      this.#started = event;
      return whole;
    }
    if (event.payload.case === "stepCompleted") {
      if (this.#current !== undefined) complete(this.#current, event);
      return undefined;
    }
    if (event.step === 0) return undefined;
    const whole = this.end();
    const started = this.#started;
    this.#started = undefined;
    this.#current = begin(event, call, started);
    return whole;
  }

  /** Gives the step that no further event belongs to. */
  end(): Step | undefined {
    const whole = this.#current;
    this.#current = undefined;
    return whole;
  }
}

type Content = Partial<Pick<Step, "name" | "input" | "output" | "type" | "status">>;

function begin(event: Event, call: Event | undefined, started: Event | undefined): Step {
  const { step: number, author, createTime, duration } = event;
  const start = started?.payload.case === "stepStarted" ? started.payload.value : undefined;
  const { name = "", input = "", ...content } = contentOf(event, call);
  const parts = [started, call, event].filter((part) => part !== undefined);
  return create(StepSchema, {
    ...content,
    number,
    author,
    name: name || (start?.name ?? ""),
    input: input || jsonOf(start?.input),
    revisions: parts.map(({ revision }) => revision).sort((a, b) => a - b),
    ...(createTime && { createTime }),
    ...(duration ? { duration } : timeBetween(call ?? started, event)),
  });
}

function contentOf(event: Event, call: Event | undefined): Content {
  const { payload } = event;
  const status = StepStatus.SUCCEEDED;
  switch (payload.case) {
    case "thinking":
      return { type: StepType.THINKING, output: payload.value.text, status };
    case "toolCall":
      return {
        type: StepType.TOOL_CALL,
        name: payload.value.name,
        input: payload.value.arguments,
      };
    case "toolResult":
      return {
        ...(call?.payload.case === "toolCall" && {
          name: call.payload.value.name,
          input: call.payload.value.arguments,
        }),
        type: StepType.TOOL_RESULT,
        output: textOf(event),
        status: payload.value.isError ? StepStatus.FAILED : status,
      };
    case "error":
      return { type: StepType.ERROR, output: payload.value.message, status: StepStatus.FAILED };
    default:
      return { type: StepType.OUTPUT, output: textOf(event), status };
  }
}

/** What the agent says of a step counts where the event that records it says nothing. */
function complete(step: Step, { payload, revision, duration }: Event): void {
  if (payload.case !== "stepCompleted") return;
  const { name, output, status } = payload.value;
  step.revisions.push(revision);
  if (step.name === "") step.name = name;
  if (step.output === "") step.output = jsonOf(output);
  if (status !== StepStatus.UNSPECIFIED) step.status = status;
  if (duration !== undefined) step.duration = duration;
}

function timeBetween(from: Event | undefined, to: Event): Pick<Step, "duration"> | undefined {
  if (from?.createTime === undefined || to.createTime === undefined) return undefined;
  const ms = timestampMs(to.createTime) - timestampMs(from.createTime);
  // A step that was over when it was recorded is appended in one batch, which has one time.
  return ms === 0 ? undefined : { duration: durationFromMs(ms) };
}

/** A text as it stands, a structure as JSON. */
function jsonOf(value: Value | undefined): string {
  if (value === undefined) return "";
  return value.kind.case === "stringValue"
    ? value.kind.value
    : JSON.stringify(toJson(ValueSchema, value));
}
