import type { EventInput } from "@sessiond/client";
import { limits } from "../../limits.ts";

/** Leaves room for what surrounds the events in a request. */
const batchBytes = limits.requestBytes / 2;
const batchEvents = Math.min(250, limits.eventsPerAppend);

/** Splits events into batches the server takes; the same events always give the same batches. */
export function batchesOf(events: readonly EventInput[]): EventInput[][] {
  const batches: EventInput[][] = [];
  let bytes = 0;
  for (const event of events) {
    // An upper bound of its binary form: JSON adds names and escapes.
    const size = Buffer.byteLength(JSON.stringify(event));
    const last = batches.at(-1);
    if (last === undefined || last.length >= batchEvents || bytes + size > batchBytes) {
      batches.push([event]);
      bytes = size;
    } else {
      last.push(event);
      bytes += size;
    }
  }
  return batches;
}
