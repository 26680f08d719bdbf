import { type History, isOwnOfServer } from "../history.ts";

/** Unique: no event is stored twice, anywhere, and none that nobody sent. */
export function* unique({ calls, logs }: History): Generator<string> {
  const sent = new Map(
    calls.flatMap(({ sessionId, marks }) => marks.map((mark) => [mark, sessionId])),
  );
  const places = new Map<string, string>();
  for (const { sessionId, entries } of logs) {
    for (const { revision, mark } of entries) {
      if (isOwnOfServer(mark)) continue;
      const place = `${sessionId} revision ${revision}`;
      const other = places.get(mark);
      if (other !== undefined) yield `${mark} is stored at ${other} and at ${place}`;
      if (sent.get(mark) !== sessionId) yield `nobody sent ${mark}, which is stored at ${place}`;
      places.set(mark, place);
    }
  }
}
