import { isDeepStrictEqual } from "node:util";
import { acknowledgement, type History } from "../history.ts";

/** Accounted: counters equal a recount of the log, and tokens are those that were acknowledged. */
export function* accounted({ calls, logs }: History): Generator<string> {
  const tokens = new Map<string, number>();
  for (const { sessionId, counters, recount, entries } of logs) {
    if (!isDeepStrictEqual(counters, recount)) {
      yield `${sessionId} counts ${JSON.stringify(counters)}, its log ${JSON.stringify(recount)}`;
    }
    for (const entry of entries) tokens.set(entry.mark, entry.tokens);
  }
  for (const call of calls) {
    for (const [index, mark] of call.marks.entries()) {
      const acknowledged = acknowledgement(call)?.tokens[index];
      const stored = tokens.get(mark);
      if (acknowledged !== undefined && stored !== undefined && acknowledged !== stored) {
        yield `${mark} was acknowledged with ${acknowledged} tokens and is stored with ${stored}`;
      }
    }
  }
}
