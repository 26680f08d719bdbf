import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import type { ServerWritableStream } from "@grpc/grpc-js";
import {
  type WatchEventsRequest,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
  WatchStart,
} from "@sessiond/contract";
import type { Entry, FakeStore } from "./fake-store.ts";

export type WatchStream = ServerWritableStream<WatchEventsRequest, WatchEventsResponse>;

/** Serves one watch from the store's log; a cursor is an index into it. Counts its messages. */
export async function serveWatch(
  store: FakeStore,
  stream: WatchStream,
  { signal, onWrite }: { signal: AbortSignal; onWrite: () => void },
): Promise<void> {
  const { request } = stream;
  if (request.sessionId !== "") store.session(request);
  const write = async (cursor: number, message: WatchEventsResponse["message"]) => {
    onWrite();
    const response = create(WatchEventsResponseSchema, { cursor: String(cursor), message });
    if (!stream.write(response)) await once(stream, "drain", { signal });
  };
  const fromNow = request.start === WatchStart.NOW ? store.log.length : 0;
  let place = request.cursor === "" ? fromNow : Number(request.cursor);
  await write(place, say("created"));
  while (!signal.aborted) {
    for (let entry = store.log[place]; entry !== undefined; entry = store.log[place]) {
      place += 1;
      if (isWanted(entry, request)) await write(place, toMessage(entry));
      if (request.untilEnded && isEnd(entry, request)) return;
    }
    await store.changed(signal);
  }
}

function isWanted({ namespace, sessionId }: Entry, request: WatchEventsRequest): boolean {
  return (
    namespace === request.namespace && (request.sessionId === "" || request.sessionId === sessionId)
  );
}

function isEnd(entry: Entry, request: WatchEventsRequest): boolean {
  return (
    isWanted(entry, request) && entry.events.some(({ payload }) => payload.case === "sessionEnded")
  );
}

function toMessage({ sessionId, sessionUid, events, deleted, damaged }: Entry) {
  const name = { sessionId, sessionUid };
  if (damaged) {
    const value = { ...name, firstRevision: 2, lastRevision: 3 };
    return create(WatchEventsResponseSchema, { message: { case: "eventsDamaged", value } }).message;
  }
  const made = deleted
    ? create(WatchEventsResponseSchema, { message: { case: "sessionDeleted", value: name } })
    : create(WatchEventsResponseSchema, {
        message: { case: "events", value: { ...name, events: [...events] } },
      });
  return made.message;
}

function say(word: "created" | "progress"): WatchEventsResponse["message"] {
  return create(WatchEventsResponseSchema, { message: { case: word, value: {} } }).message;
}
