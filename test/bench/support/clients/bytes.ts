import { create, toBinary } from "@bufbuild/protobuf";
import { GetSessionRequestSchema, SessionService, WatchStart } from "@sessiond/contract";
import { pathOf, RawClient } from "../raw-client.ts";
import { watchedEvents } from "../wire.ts";
import { countdown, type MeasuredClient } from "./measured-client.ts";
import { readStream } from "./read-stream.ts";

const path = pathOf(SessionService.method.getSession);

/** grpc-js without any message: bytes made beforehand, answers left as bytes. */
export function bytesClient(address: string): MeasuredClient {
  const client = new RawClient(address);
  const requests = new Map<string, Buffer>();
  return {
    getSession: (sessionId) => client.call(path, requestOf(requests, sessionId)),
    watchEvents({ sessionId, events }) {
      const more = countdown(events);
      const stream = client.watch({ sessionId, start: WatchStart.BEGINNING });
      return readStream(stream, (message) => more(watchedEvents(message).length));
    },
  };
}

function requestOf(requests: Map<string, Buffer>, sessionId: string): Buffer {
  const known = requests.get(sessionId);
  if (known !== undefined) return known;
  const message = create(GetSessionRequestSchema, { sessionId });
  const bytes = Buffer.from(toBinary(GetSessionRequestSchema, message));
  requests.set(sessionId, bytes);
  return bytes;
}
