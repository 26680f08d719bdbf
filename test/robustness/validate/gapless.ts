import type { History } from "../history.ts";

/** Gapless: revisions are 1, 2, 3 … up to the head. */
export function* gapless({ logs }: History): Generator<string> {
  for (const { sessionId, entries, headRevision } of logs) {
    const revisions = new Set(entries.map(({ revision }) => revision));
    for (let revision = 1; revision <= headRevision; revision++) {
      if (!revisions.has(revision)) yield `${sessionId} has no revision ${revision}`;
    }
    const last = Math.max(0, ...revisions);
    if (last > headRevision) yield `${sessionId} has revision ${last}, its head is ${headRevision}`;
  }
}
