import { toJsonString } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { type WatchEventsResponse, WatchEventsResponseSchema } from "@sessiond/contract";
import { limits } from "../limits.ts";
import { errorText } from "./http-error.ts";

// Frames of text/event-stream, as the HTML standard has it: fields, one a line, and an empty line.
// JSON texts and cursors have no line breaks.

export type Encode = (message: WatchEventsResponse) => Buffer;

/** Goes first: how long a browser waits before it reconnects. */
export const retryFrame = `retry: ${limits.streamRetryMs}\n\n`;

/** A comment, which clients pass over. */
const stillCurrent = Buffer.from(": still current\n\n");

/**
 * Encodes a message object once, however many streams it is written to. Messages are known by
 * identity; the bytes live as long as the message.
 */
export function sharedFrames(): Encode {
  const known = new WeakMap<WatchEventsResponse, Buffer>();
  return (message) => {
    let bytes = known.get(message);
    if (bytes === undefined) {
      bytes = frameOf(message);
      known.set(message, bytes);
    }
    return bytes;
  };
}

/**
 * Encodes the messages of one stream. That it is current is told once for each place; further
 * `progress` there is a comment, which keeps the connection alive and wakes no program.
 */
export function framesOfStream(encode: Encode): Encode {
  let toldAt: string | undefined;
  return (message) => {
    if (message.message.case === "progress") {
      if (message.cursor === toldAt) return stillCurrent;
      toldAt = message.cursor;
    }
    return encode(message);
  };
}

/** The last frame of a stream that cannot go on. It has no id: who reconnects begins before it. */
export function errorFrame(error: ConnectError): string {
  return `event: error\ndata: ${errorText(error)}\n\n`;
}

function frameOf(message: WatchEventsResponse): Buffer {
  const data = toJsonString(WatchEventsResponseSchema, message);
  return Buffer.from(`id: ${message.cursor}\nevent: ${message.message.case}\ndata: ${data}\n\n`);
}
