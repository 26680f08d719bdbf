import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { Event, EventSchema } from "@sessiond/contract";
import type { TraceInput } from "./call-options.ts";
import { toDuration } from "./duration.ts";
import { type RoleWord, roles } from "./words.ts";

/** An event as the contract takes it, for payloads that have no short form here. */
export type EventInit = Exclude<MessageInitShape<typeof EventSchema>, Event>;

/** What any event may carry beside its payload. */
export interface EventFields {
  /** Your own id for the event. */
  readonly eventId?: string;
  /** Name of the agent or user it comes from. */
  readonly author?: string;
  /** Your word for it; "constraint", "goal", "auth_checkpoint" protect it in windows. */
  readonly kind?: string;
  /** Time the recorded work took. */
  readonly durationMs?: number;
  /** Anything you keep with it. */
  readonly metadata?: JsonObject;
  /** What the provider reported about the model call. */
  readonly usage?: NonNullable<EventInit["usage"]>;
  /**
   * A provider's own form of the event, beside the payload. Text is kept byte for byte; an object
   * is written as JSON.
   */
  readonly raw?: { readonly format: string; readonly json: string | JsonObject };
  /** W3C trace context of the work that produced it. */
  readonly trace?: TraceInput;
}

/** A text message. */
export interface MessageInput extends EventFields {
  readonly role: RoleWord;
  readonly text: string;
}

/** What the model thought. */
export interface ThinkingInput extends EventFields {
  readonly thinking: string | { readonly text?: string; readonly signature?: string };
}

/** The model calls a tool. Arguments that are no text are written as JSON. */
export interface ToolCallInput extends EventFields {
  readonly toolCall: {
    readonly callId: string;
    readonly name: string;
    readonly arguments?: string | JsonObject;
  };
}

/** A tool answers. */
export interface ToolResultInput extends EventFields {
  readonly toolResult: {
    readonly callId: string;
    readonly content: string;
    readonly isError?: boolean;
    /** Default true; false for progress of a long-running call. */
    readonly isFinal?: boolean;
  };
}

/** An event to append: a plain object, or `{ payload }` in the form of the contract. */
export type EventInput =
  | MessageInput
  | ThinkingInput
  | ToolCallInput
  | ToolResultInput
  | (EventInit & { readonly payload: NonNullable<EventInit["payload"]> });

/** Turns what the user wrote into the contract's form. */
export function toEventInit(input: EventInput): EventInit {
  if ("payload" in input) return input;
  return {
    ...toFields(input),
    ...("role" in input ? { role: roles[input.role] } : {}),
    payload: toPayload(input),
  };
}

function toPayload(
  input: MessageInput | ThinkingInput | ToolCallInput | ToolResultInput,
): NonNullable<EventInit["payload"]> {
  if ("toolCall" in input) {
    const { arguments: args = "", ...call } = input.toolCall;
    return { case: "toolCall", value: { ...call, arguments: toJsonText(args) } };
  }
  if ("toolResult" in input) return { case: "toolResult", value: input.toolResult };
  if ("thinking" in input) {
    const { thinking } = input;
    return {
      case: "thinking",
      value: typeof thinking === "string" ? { text: thinking } : thinking,
    };
  }
  return { case: "message", value: { text: input.text } };
}

function toFields(fields: EventFields): EventInit {
  const { eventId, author, kind, durationMs, metadata, usage, raw, trace } = fields;
  return {
    ...(eventId === undefined ? {} : { eventId }),
    ...(author === undefined ? {} : { author }),
    ...(kind === undefined ? {} : { kind }),
    ...(durationMs === undefined ? {} : { duration: toDuration("durationMs", durationMs) }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(usage === undefined ? {} : { usage }),
    ...(raw === undefined ? {} : { raw: { format: raw.format, json: toJsonText(raw.json) } }),
    ...(trace === undefined ? {} : { trace: toTrace(trace) }),
  };
}

function toTrace({ traceparent, tracestate = "" }: TraceInput): NonNullable<EventInit["trace"]> {
  return { traceparent, tracestate };
}

/** A text as it is, a structure as JSON. */
export function toJsonText(value: string | JsonObject): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
