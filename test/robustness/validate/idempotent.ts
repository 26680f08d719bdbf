import { isDeepStrictEqual } from "node:util";
import { type Answer, acknowledgement, type History } from "../history.ts";

/**
 * Idempotent: however often a call was sent, all its answers are the first one, and it is applied
 * once if that is an acknowledgement, never if it is a refusal, at most once while there is none.
 */
export function* idempotent({ calls, logs }: History): Generator<string> {
  const times = new Map<string, number>();
  for (const { mark } of logs.flatMap(({ entries }) => entries)) {
    times.set(mark, (times.get(mark) ?? 0) + 1);
  }
  for (const call of calls) {
    const { requestId, answers, marks } = call;
    const [first, ...others] = answers.map(content);
    for (const other of others) {
      if (!isDeepStrictEqual(other, first)) {
        yield `${requestId} was answered ${JSON.stringify(first)}, then ${JSON.stringify(other)}`;
      }
    }
    const applied = Math.max(...marks.map((mark) => times.get(mark) ?? 0));
    const isAcknowledged = acknowledgement(call) !== undefined;
    const most = answers.length === 0 || isAcknowledged ? 1 : 0;
    const least = isAcknowledged ? 1 : 0;
    if (applied < least || applied > most) {
      yield `${requestId} (${JSON.stringify(first) ?? "not answered"}) is applied ${applied} times`;
    }
  }
}

function content({ place: _, ...answer }: Answer): object {
  return answer;
}
