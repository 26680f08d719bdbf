import { EventService } from "@sessiond/contract";
import { appendBytes, type EventInit, textEvent } from "./messages.ts";
import { pathOf, type RawClient } from "./raw-client.ts";

const path = pathOf(EventService.method.appendEvents);
const inFlight = 8;

/** Appends the same number of events to each session, in large batches. */
export async function fill(
  client: RawClient,
  args: {
    readonly sessionIds: readonly string[];
    readonly eventsEach: number;
    /** Default 500. */
    readonly batchEvents?: number;
    /** Default: a typical message. */
    readonly event?: EventInit;
  },
): Promise<void> {
  const { sessionIds, eventsEach, batchEvents = 500, event = textEvent() } = args;
  const waiting = [...sessionIds];
  const filler = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      for (let left = eventsEach; left > 0; left -= batchEvents) {
        const events = Array<EventInit>(Math.min(left, batchEvents)).fill(event);
        await client.call(path, appendBytes({ sessionId: id, events }));
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, filler));
}

/** `count` names of sessions. */
export function sessionIds(count: number, prefix = "session"): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}
