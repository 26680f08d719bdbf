import type { Entry, History } from "../history.ts";

/**
 * Resumable: over all its breaks the watch showed each session's log from its first event on, each
 * event once, in order, and once settled all of it.
 */
export function* resumable({ logs, deliveries, isSettled }: History): Generator<string> {
  const streams = Map.groupBy(deliveries, ({ sessionId }) => sessionId);
  for (const { sessionId, entries } of logs) {
    const stream = (streams.get(sessionId) ?? []).flatMap((delivery) => delivery.entries);
    const length = isSettled ? Math.max(entries.length, stream.length) : stream.length;
    const index = Array.from({ length }).findIndex(
      (_, place) => !isSame(stream[place], entries[place]),
    );
    if (index !== -1) {
      yield `the watch showed ${text(stream[index])} as event ${index + 1} of ${sessionId}, its log has ${text(entries[index])}`;
    }
  }
}

function isSame(a: Entry | undefined, b: Entry | undefined): boolean {
  return a?.revision === b?.revision && a?.mark === b?.mark;
}

function text(entry: Entry | undefined): string {
  return entry === undefined ? "nothing" : `revision ${entry.revision} (${entry.mark})`;
}
