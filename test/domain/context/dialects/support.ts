import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Event,
  EventSchema,
  Role,
  Treatment,
  type WindowItem,
  WindowItemSchema,
} from "@sessiond/contract";

/** Fields of an event, as tests write them down. */
export type EventFields = Extract<MessageInitShape<typeof EventSchema>, { $typeName?: never }>;

/** An event as the log holds it; in group 1 unless it says another. */
export function eventOf(fields: EventFields): Event {
  return create(EventSchema, { group: 1, ...fields });
}

/** The items of a window that shows these events. */
export function itemsOf(...events: Event[]): WindowItem[] {
  return events.map((event) =>
    create(WindowItemSchema, { event, treatment: Treatment.KEPT, tokens: 1 }),
  );
}

export function system(text: string, fields: EventFields = {}): Event {
  return eventOf({ role: Role.SYSTEM, payload: { case: "message", value: { text } }, ...fields });
}

export function user(text: string, fields: EventFields = {}): Event {
  return eventOf({ role: Role.USER, payload: { case: "message", value: { text } }, ...fields });
}

export function assistant(text: string, fields: EventFields = {}): Event {
  return eventOf({
    role: Role.ASSISTANT,
    payload: { case: "message", value: { text } },
    ...fields,
  });
}

export function thinking(text: string, signature = "", fields: EventFields = {}): Event {
  const role = Role.ASSISTANT;
  return eventOf({ role, payload: { case: "thinking", value: { text, signature } }, ...fields });
}

export function call(callId: string, name: string, args = "{}", fields: EventFields = {}): Event {
  const value = { callId, name, arguments: args };
  return eventOf({ role: Role.ASSISTANT, payload: { case: "toolCall", value }, ...fields });
}

export function result(callId: string, content: string, fields: EventFields = {}): Event {
  const value = { callId, content };
  return eventOf({ role: Role.TOOL, payload: { case: "toolResult", value }, ...fields });
}

export function failure(callId: string, content: string): Event {
  const value = { callId, content, isError: true };
  return eventOf({ role: Role.TOOL, payload: { case: "toolResult", value } });
}

/** A user's message with images and files behind its text. */
export function shown(text: string, ...parts: Part[]): Event {
  return user(text, { payload: { case: "message", value: { text, parts } } });
}

export type Part = ReturnType<typeof image> | ReturnType<typeof file>;

export function image(uri: string, mediaType = "") {
  return { content: { case: "image" as const, value: { uri, mediaType } } };
}

export function file(uri: string, mediaType = "", name = "") {
  return { content: { case: "file" as const, value: { uri, mediaType, name } } };
}

/** An image with its bytes. */
export const pixel = "data:image/png;base64,iVBORw0KGgo=";

/**
 * A conversation with most of what windows show: instructions, a summary, an image, a thought with
 * two calls, one of which fails, what another agent said, and an answer.
 */
export function conversation(): WindowItem[] {
  return itemsOf(
    system("You find bugs.", { group: 0 }),
    user("Summary of what came before (untrusted): the build broke.", { group: 0 }),
    shown("What is on this screen?", image(pixel)),
    thinking("Look at both.", "c2lnbmVk", { group: 5, author: "debugger" }),
    assistant("I look at the log and the code.", { group: 5, author: "debugger" }),
    call("call_log", "read_log", '{"lines": 20}', { group: 5, author: "debugger" }),
    call("call_code", "read_file", '{"path":"a.ts"}', { group: 5, author: "debugger" }),
    result("call_log", "TypeError at a.ts:7", { group: 5 }),
    eventOf({
      group: 5,
      role: Role.TOOL,
      payload: {
        case: "toolResult",
        value: { callId: "call_code", content: "no such file", isError: true },
      },
    }),
    user("[researcher] said: a.ts was moved to b.ts.", { group: 10 }),
    assistant("The file was moved.", { group: 11, author: "debugger" }),
  );
}
