import { toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Event, type Part, Role } from "@sessiond/contract";

type PayloadCase = NonNullable<Event["payload"]["case"]>;

/** What kinds of events mean for numbers and windows. One table, closed over the contract. */
interface PayloadTraits {
  /** Role of an event that does not say one. */
  readonly role: Role;
  /** It records a step. */
  readonly isStep: boolean;
  /** Which side of the model its tokens are on; "none" for records that no window shows. */
  readonly side: "input" | "output" | "none";
}

const step = (role: Role, side: PayloadTraits["side"]): PayloadTraits => ({
  role,
  isStep: true,
  side,
});
const note = (role: Role, side: PayloadTraits["side"] = "none"): PayloadTraits => ({
  role,
  isStep: false,
  side,
});

const traits = {
  message: note(Role.USER, "input"),
  thinking: step(Role.ASSISTANT, "output"),
  toolCall: step(Role.ASSISTANT, "output"),
  toolResult: step(Role.TOOL, "input"),
  approvalRequest: note(Role.ASSISTANT, "output"),
  approvalResponse: note(Role.USER, "input"),
  output: step(Role.ASSISTANT, "output"),
  error: step(Role.TOOL, "none"),
  stepStarted: note(Role.UNSPECIFIED),
  stepCompleted: note(Role.UNSPECIFIED),
  sessionStarted: note(Role.UNSPECIFIED),
  sessionEnded: note(Role.UNSPECIFIED),
  sessionReopened: note(Role.UNSPECIFIED),
  handoff: note(Role.UNSPECIFIED),
  requestRecorded: note(Role.UNSPECIFIED),
  stateChanged: note(Role.UNSPECIFIED),
  rewind: note(Role.UNSPECIFIED),
  amendment: note(Role.UNSPECIFIED),
  compaction: note(Role.UNSPECIFIED),
  compactionReverted: note(Role.UNSPECIFIED),
  protectionChanged: note(Role.UNSPECIFIED),
  redaction: note(Role.UNSPECIFIED),
  custom: note(Role.UNSPECIFIED),
  forked: note(Role.UNSPECIFIED),
  compactionDue: note(Role.UNSPECIFIED),
} satisfies Record<PayloadCase, PayloadTraits>;

export function traitsOf(event: Event): PayloadTraits {
  const payload = event.payload.case;
  return payload === undefined ? note(Role.UNSPECIFIED) : traits[payload];
}

/** Fields of `StepMetrics`, by the payloads that are counted in them. */
const stepTypes = {
  thinking: "thinking",
  toolCall: "toolCalls",
  toolResult: "toolResults",
  output: "outputs",
  error: "errors",
} as const;

/** The field of `StepMetrics` that the event is counted in; undefined: it records no step. */
export function stepTypeOf({ payload }: Event) {
  const { case: kind } = payload;
  return kind !== undefined && kind in stepTypes
    ? stepTypes[kind as keyof typeof stepTypes]
    : undefined;
}

/** Which side of the model the event's tokens are on; a message's role decides its side. */
export function sideOf(event: Event): PayloadTraits["side"] {
  if (event.payload.case !== "message") return traitsOf(event).side;
  return event.role === Role.ASSISTANT ? "output" : "input";
}

/**
 * The text of an event that a model would read, which is what its tokens are counted over.
 *
 * Images and files are references and have no text. Pieces are joined by line breaks; a tool
 * call is its name and its arguments.
 */
export function textOf(event: Event): string {
  const { payload } = event;
  switch (payload.case) {
    case "message":
      return join(payload.value.text, ...textsOf(payload.value.parts));
    case "thinking":
      return payload.value.text;
    case "toolCall":
      return join(payload.value.name, payload.value.arguments);
    case "toolResult":
      return join(payload.value.content, ...textsOf(payload.value.parts));
    case "approvalRequest":
      return payload.value.prompt;
    case "approvalResponse":
      return payload.value.reason;
    case "output":
      return join(payload.value.text, jsonOf(payload.value.value));
    case "custom":
      return join(payload.value.type, jsonOf(payload.value.value));
    case "amendment":
      // No model reads it by itself; its tokens are those of the call that has these arguments now.
      return payload.value.arguments;
    default:
      return "";
  }
}

function jsonOf(value: Value | undefined): string {
  return value === undefined ? "" : JSON.stringify(toJson(ValueSchema, value));
}

function textsOf(parts: readonly Part[]): string[] {
  return parts.flatMap(({ content }) => (content.case === "text" ? [content.value] : []));
}

function join(...texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join("\n");
}
