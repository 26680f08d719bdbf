import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService } from "@sessiond/contract";
import { appendStream } from "../domain/append-stream.ts";
import type { Events } from "../domain/events.ts";
import type { Watches } from "../domain/stream/watches.ts";

export function eventService(args: {
  events: Events;
  watches: Watches;
}): ServiceImpl<typeof EventService> {
  const { events, watches } = args;
  return {
    appendEvents: (request) => events.append(request),
    appendStream: (requests) => appendStream(events, requests),
    listEvents: (request) => events.list(request),
    watchEvents: (request, { signal }) => watches.watch(request, signal),
  };
}
