import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";
import type { SinkBatch, SinkMessage } from "./sink.ts";

/** Texts of events that leave as they are: several sinks write the same. */
const known = new WeakMap<Event, string>();

/**
 * A message as one line of JSON, without the line's end:
 *
 *     {"namespace":"default","sessionId":"s","sessionUid":"…","event":{…}}
 *     {"namespace":"default","sessionId":"s","sessionUid":"…","sessionDeleted":{"firstRevision":1,"lastRevision":9}}
 *     {"namespace":"default","sessionId":"s","sessionUid":"…","eventsDamaged":{"firstRevision":3,"lastRevision":4}}
 *     {"namespace":"default","gap":{"description":"…"}}
 *
 * An event is in the contract's JSON form.
 */
export function lineOf(namespace: string, message: SinkMessage): string {
  switch (message.kind) {
    case "event":
      return `${headOf(namespace, message)},"event":${eventText(message.event)}}`;
    case "session_deleted":
      return `${headOf(namespace, message)},"sessionDeleted":${rangeOf(message)}}`;
    case "events_damaged":
      return `${headOf(namespace, message)},"eventsDamaged":${rangeOf(message)}}`;
    case "gap":
      return JSON.stringify({ namespace, gap: { description: message.description } });
  }
}

/** A batch as lines, each with its end. */
export function linesOf({ namespace, messages }: SinkBatch): string {
  return messages.map((message) => `${lineOf(namespace, message)}\n`).join("");
}

/** An event in the contract's JSON form. */
export function eventJson(event: Event): JsonValue {
  return toJson(EventSchema, event);
}

function headOf(namespace: string, args: { sessionId: string; sessionUid: string }): string {
  const { sessionId, sessionUid } = args;
  return JSON.stringify({ namespace, sessionId, sessionUid }).slice(0, -1);
}

function rangeOf(args: { firstRevision: number; lastRevision: number }): string {
  const { firstRevision, lastRevision } = args;
  return JSON.stringify({ firstRevision, lastRevision });
}

function eventText(event: Event): string {
  let text = known.get(event);
  if (text === undefined) {
    text = JSON.stringify(eventJson(event));
    known.set(event, text);
  }
  return text;
}
