import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Event } from "@sessiond/contract";
import type { Change } from "./store.ts";

/**
 * The events that a change stores, each with whether the next belongs to its batch.
 *
 * Of copies it is not known where their batches ended; events of one batch have one time, so those with
 * the same time stay together.
 */
export function batchedEvents({ copies = [], events }: Change) {
  return [
    ...copies.map((event, index) => ({ event, continues: isAsOld(event, copies[index + 1]) })),
    ...events.map((event, index) => ({ event, continues: index < events.length - 1 })),
  ];
}

function isAsOld({ createTime }: Event, next: Event | undefined): boolean {
  if (createTime === undefined || next?.createTime === undefined) return false;
  return timestampMs(createTime) === timestampMs(next.createTime);
}
