import { create } from "@bufbuild/protobuf";
import { type WatchEventsResponse, WatchEventsResponseSchema } from "@sessiond/contract";
import type { EventFilter } from "../filter/event-filter-of.ts";
import type { Turns } from "../turns.ts";

/**
 * What a filter leaves of a message: the message itself when it hides nothing, because it may be shared;
 * undefined when it hides all of it.
 */
export async function visibleOf(
  message: WatchEventsResponse,
  passes: EventFilter,
  turns: Turns,
): Promise<WatchEventsResponse | undefined> {
  if (message.message.case !== "events") return message;
  const { value } = message.message;
  const events = [];
  for (const event of value.events) {
    await turns.yield();
    if (passes(value.sessionId, event)) events.push(event);
  }
  if (events.length === value.events.length) return message;
  if (events.length === 0) return undefined;
  return create(WatchEventsResponseSchema, {
    cursor: message.cursor,
    message: { case: "events", value: { ...value, events } },
  });
}
