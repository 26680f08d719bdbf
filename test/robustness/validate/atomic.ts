import type { Call, Entry, EventMark, History } from "../history.ts";

/** Atomic: a batch is stored whole, side by side, or not at all, and is streamed the same way. */
export function* atomic({ calls, logs, deliveries }: History): Generator<string> {
  const callOf = new Map(calls.flatMap((call) => call.marks.map((mark) => [mark, call])));
  for (const { sessionId, entries } of logs) {
    for (const text of torn(entries, callOf)) yield `the log of ${sessionId} ${text}`;
  }
  for (const { sessionId, entries } of deliveries) {
    for (const text of torn(entries, callOf)) yield `a message about ${sessionId} ${text}`;
  }
}

/** Walks over the entries batch by batch. */
function* torn(entries: readonly Entry[], callOf: ReadonlyMap<EventMark, Call>): Generator<string> {
  let index = 0;
  while (index < entries.length) {
    const call = callOf.get(entries[index]?.mark ?? "");
    const marks = call?.marks ?? [];
    const found = entries.slice(index, index + marks.length).map(({ mark }) => mark);
    const same = found.findIndex((mark, place) => mark !== marks[place]);
    const whole = same === -1 ? found.length : same;
    if (call !== undefined && whole < marks.length) {
      yield `has ${whole} of ${marks.length} events of ${call.requestId} at revision ${entries[index]?.revision}`;
    }
    index += Math.max(1, whole);
  }
}
