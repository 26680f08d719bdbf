import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";
import type { LogRange } from "../../../../src/store/log.ts";

/** A log of text messages, each a group of ten tokens, at revisions 1, 2, 3 … */
export function logOf(texts: readonly string[]): Event[] {
  return texts.map((text, index) =>
    create(EventSchema, {
      revision: index + 1,
      group: index + 1,
      tokens: { count: 10 },
      payload: { case: "message", value: { text } },
    }),
  );
}

/** Reads ranges of a log, as a store does. */
export function readerOf(log: readonly Event[]) {
  const ranges: LogRange[] = [];
  return {
    /** What was asked for. */
    ranges,
    readEvents: async (range: LogRange): Promise<Event[]> => {
      ranges.push(range);
      const events = log.slice(range.first - 1, range.last);
      if (range.reverse) events.reverse();
      return events.slice(0, range.maxEvents);
    },
  };
}
