import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import {
  EventBatchSchema,
  EventSchema,
  ListEventsResponseSchema,
  WatchEventsResponseSchema,
} from "@sessiond/contract";

/*
 * Looks into encoded messages without decoding them: at hundreds of thousands of events a second a
 * benchmark that decoded them would measure itself.
 */

const { number: batchField } = WatchEventsResponseSchema.field.events;
const { number: eventsField } = EventBatchSchema.field.events;
const { number: listedField } = ListEventsResponseSchema.field.events;
const { number: revisionField } = EventSchema.field.revision;

/** The events in a message of WatchEvents, encoded. */
export function watchedEvents(message: Uint8Array): Uint8Array[] {
  return parts(message, batchField).flatMap((batch) => parts(batch, eventsField));
}

/** The events in an answer of ListEvents, encoded. */
export function listedEvents(answer: Uint8Array): Uint8Array[] {
  return parts(answer, listedField);
}

export function revisionOf(event: Uint8Array): number {
  const reader = new BinaryReader(event);
  // Fields are written by number, and the revision is number one.
  const [field] = reader.tag();
  if (field !== revisionField) throw new Error("an event does not begin with its revision");
  return reader.uint32();
}

/** Contents of every field of that number that has a length. */
function parts(message: Uint8Array, number: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === number && wireType === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(wireType);
  }
  return found;
}
