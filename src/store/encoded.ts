import { toBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";

const encoded = new WeakMap<Event, Uint8Array>();

/**
 * The binary form of an event that will not change any more.
 *
 * Made once: its size is counted when the event is decided on, its bytes are stored later.
 */
export function encodedEvent(event: Event): Uint8Array {
  let bytes = encoded.get(event);
  if (bytes === undefined) {
    bytes = toBinary(EventSchema, event);
    encoded.set(event, bytes);
  }
  return bytes;
}

const sizes = new WeakMap<Event, number>();

/** Bytes of the binary form of an event that will not change any more. */
export function sizeOf(event: Event): number {
  return sizes.get(event) ?? encodedEvent(event).length;
}

/** Notes the size of an event that was decoded, so that nobody encodes it to know. Gives the event. */
export function withSize(event: Event, bytes: number): Event {
  sizes.set(event, bytes);
  return event;
}
