import type { JsonObject } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "@sessiond/contract";
import { type RoleWord, roles, wordFor } from "./words.ts";

/** What happened, in the words of the contract, for example "message" or "toolCall". */
export type EventType = NonNullable<Event["payload"]["case"]>;

/**
 * An event of a session, light to read. Everything else it carries is in `message`.
 *
 * ```ts
 * for await (const event of session.events()) console.log(event.revision, event.role, event.text);
 * ```
 */
export interface SessionEvent {
  /** Place in the session: 1, 2, 3 … without holes. */
  readonly revision: number;
  /** Undefined for a payload newer than this client. */
  readonly type: EventType | undefined;
  /** Undefined when it is nobody's voice, for example for `session_started`. */
  readonly role: RoleWord | undefined;
  /** Text of a message, thinking, a tool result, output or error; else empty. */
  readonly text: string;
  readonly toolCall: { callId: string; name: string; arguments: string } | undefined;
  readonly toolResult:
    | { callId: string; content: string; isError: boolean; isFinal: boolean }
    | undefined;
  readonly author: string;
  readonly kind: string;
  /** Turn it belongs to, from 0. */
  readonly turn: number;
  /** Number of the step it records, from 1; 0 for none. */
  readonly step: number;
  readonly createTime: Date;
  readonly metadata: JsonObject;
  /** The event in the form of the contract. */
  readonly message: Event;
}

/**
 * Makes the light form of an event, for what the raw clients give.
 *
 * ```ts
 * const { events } = await sessiond.clients.events.listEvents({ sessionId: "user-42" });
 * for (const event of events.map(toSessionEvent)) console.log(event.revision, event.text);
 * ```
 */
export function toSessionEvent(message: Event): SessionEvent {
  const { payload, createTime } = message;
  return {
    revision: message.revision,
    type: payload.case,
    role: wordFor(roles, message.role),
    text: textOf(payload),
    toolCall: payload.case === "toolCall" ? payload.value : undefined,
    toolResult:
      payload.case === "toolResult"
        ? { ...payload.value, isFinal: payload.value.isFinal ?? true }
        : undefined,
    author: message.author,
    kind: message.kind,
    turn: message.turn,
    step: message.step,
    createTime: createTime === undefined ? new Date(0) : timestampDate(createTime),
    metadata: message.metadata ?? {},
    message,
  };
}

function textOf(payload: Event["payload"]): string {
  switch (payload.case) {
    case "message":
    case "thinking":
    case "output":
      return payload.value.text;
    case "toolResult":
      return payload.value.content;
    case "error":
      return payload.value.message;
    default:
      return "";
  }
}
