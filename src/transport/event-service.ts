import type { ServiceImpl } from "@connectrpc/connect";
import type { EventService } from "@sessiond/contract";
import { appendStream } from "../domain/append-stream.ts";
import type { Amendments } from "../domain/context/amendments.ts";
import type { Events } from "../domain/events.ts";
import type { StepList } from "../domain/steps/step-list.ts";
import type { Watches } from "../domain/stream/watches.ts";
import { traceOf } from "./trace.ts";

export function eventService(args: {
  events: Events;
  amendments: Amendments;
  steps: StepList;
  watches: Watches;
  /** Fires when the server is about to stop; ends append streams. */
  shutdown: AbortSignal;
}): ServiceImpl<typeof EventService> {
  const { events, amendments, steps, watches, shutdown } = args;
  return {
    appendEvents: (request, context) => events.append(request, { trace: traceOf(context) }),
    appendStream: (requests, context) =>
      appendStream(events, requests, { shutdown, trace: traceOf(context) }),
    amendToolCall: (request) => amendments.amend(request),
    listEvents: (request) => events.list(request),
    listSteps: (request) => steps.list(request),
    watchEvents: (request, { signal }) => watches.watch(request, signal),
  };
}
