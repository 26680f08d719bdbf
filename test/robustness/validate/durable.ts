import { acknowledgement, type History } from "../history.ts";

/** Durable: every acknowledged event is in the log, with its content, at its revision. */
export function* durable({ calls, logs }: History): Generator<string> {
  const stored = new Map(
    logs.map(({ sessionId, entries }) => [
      sessionId,
      new Map(entries.map(({ revision, mark }) => [revision, mark])),
    ]),
  );
  for (const call of calls) {
    const { requestId, sessionId, marks } = call;
    for (const [index, revision] of (acknowledgement(call)?.revisions ?? []).entries()) {
      const found = stored.get(sessionId)?.get(revision) ?? "nothing";
      if (found !== marks[index]) {
        yield `${sessionId} has ${found} at revision ${revision}, where ${marks[index]} of ${requestId} was acknowledged`;
      }
    }
  }
}
