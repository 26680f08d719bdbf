import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";
import type { EventMark } from "./history.ts";

/** Makes the mark of an event, sent or read: what the server sets is left out. */
export function markOf(event: Event): EventMark {
  const sent = create(EventSchema, {
    eventId: event.eventId,
    author: event.author,
    role: event.role,
    kind: event.kind,
    payload: event.payload,
    ...(event.metadata && { metadata: event.metadata }),
  });
  const content = createHash("sha256").update(toBinary(EventSchema, sent)).digest("hex");
  const name = event.eventId === "" ? `server/${event.payload.case}` : event.eventId;
  return `${name} ${content.slice(0, 12)}`;
}
