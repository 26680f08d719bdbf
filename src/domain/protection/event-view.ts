import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema, Role } from "@sessiond/contract";
import { limits } from "../../limits.ts";
import { metadataView } from "../cel/metadata-view.ts";
import { type FieldValue, lookAt, type Subject } from "../cel/subject.ts";
import { textOf, traitsOf } from "../payloads.ts";

/**
 * What rules see of an event, as `event`. Every field is always there.
 *
 * | field | type | what |
 * |---|---|---|
 * | `revision`, `turn`, `step` | int | places in the session; 0 for none |
 * | `author` | string | name of the agent or user |
 * | `role` | string | `system`, `user`, `assistant`, `tool`, or empty |
 * | `kind` | string | the caller's word for the event |
 * | `type` | string | name of the payload's field: `message`, `tool_call`, `tool_result` … |
 * | `text` | string | what a model would read of it; the first 16,384 UTF-16 units |
 * | `tool` | string | name of the tool of a `tool_call` |
 * | `call_id` | string | id of the call of a `tool_call`, `tool_result` or `approval_request` |
 * | `is_error` | bool | an `error`, or a `tool_result` of a tool that failed |
 * | `model` | string | model that the usage names |
 * | `event_id` | string | the caller's own id |
 * | `metadata` | map | the caller's metadata; its numbers are doubles |
 */
const fields = {
  revision: (event) => BigInt(event.revision),
  turn: (event) => BigInt(event.turn),
  step: (event) => BigInt(event.step),
  author: (event) => event.author,
  role: (event) => roles[event.role || traitsOf(event).role],
  kind: (event) => event.kind,
  type: (event) => snakeCase(event.payload.case ?? ""),
  text: (event) => startOf(visibleText(event)),
  tool: ({ payload }) => (payload.case === "toolCall" ? payload.value.name : ""),
  call_id: ({ payload }) => (hasCallId(payload) ? payload.value.callId : ""),
  is_error: ({ payload }) =>
    payload.case === "error" || (payload.case === "toolResult" && payload.value.isError),
  model: (event) => event.usage?.model ?? "",
  event_id: (event) => event.eventId,
} satisfies Record<string, (event: Event) => FieldValue>;

const roles = {
  [Role.UNSPECIFIED]: "",
  [Role.SYSTEM]: "system",
  [Role.USER]: "user",
  [Role.ASSISTANT]: "assistant",
  [Role.TOOL]: "tool",
} satisfies Record<Role, string>;

/** What rules are about. */
export const eventSubject: Subject<Event> = {
  variable: "event",
  article: "an",
  word: "rule",
  fields: [...Object.keys(fields), "metadata"],
  sample: create(EventSchema),
  view: (event) => ({
    field: lookAt(fields, event),
    metadata: metadataView(event.metadata),
  }),
};

/** An error has no text for a model, but rules may well ask for its message. */
function visibleText(event: Event): string {
  return event.payload.case === "error" ? event.payload.value.message : textOf(event);
}

function startOf(text: string): string {
  return text.length > limits.ruleTextLength ? text.slice(0, limits.ruleTextLength) : text;
}

type Payload = Event["payload"];
type WithCallId = Extract<Payload, { case: "toolCall" | "toolResult" | "approvalRequest" }>;

function hasCallId(payload: Payload): payload is WithCallId {
  return ["toolCall", "toolResult", "approvalRequest"].includes(payload.case ?? "");
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
