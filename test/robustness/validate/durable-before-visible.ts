import type { Entry, History } from "../history.ts";

/** Durable before visible: what a read or the watch ever showed is in the log. */
export function* durableBeforeVisible(history: History): Generator<string> {
  const stored = new Map(
    history.logs.map(({ sessionId, entries }) => [
      sessionId,
      new Map(entries.map(({ revision, mark }) => [revision, mark])),
    ]),
  );
  for (const { by, sessionId, revision, mark } of shown(history)) {
    const found = stored.get(sessionId)?.get(revision) ?? "nothing";
    if (found !== mark) {
      yield `${by} showed ${mark} at revision ${revision} of ${sessionId}, where ${found} is stored`;
    }
  }
}

function* shown({
  deliveries,
  sightings,
}: History): Generator<Entry & { sessionId: string; by: string }> {
  for (const sighting of sightings) yield { ...sighting, by: "a read" };
  for (const { sessionId, entries } of deliveries) {
    for (const entry of entries) yield { ...entry, sessionId, by: "the watch" };
  }
}
