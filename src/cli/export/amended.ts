import type { Event } from "@sessiond/contract";

/**
 * A log with the arguments that its calls have by now. What a provider kept of a response says the old
 * ones, so of one with an amended call no raw items are left but those of results.
 */
export function withAmendments(events: readonly Event[]): readonly Event[] {
  const texts = new Map<number, string>();
  for (const { payload } of events) {
    if (payload.case === "amendment") texts.set(payload.value.revision, payload.value.arguments);
  }
  if (texts.size === 0) return events;
  const amended = events.filter(({ revision }) => texts.has(revision));
  const groups = new Set(amended.map(({ group }) => group));
  return events.map((event) => {
    if (!groups.has(event.group) || event.payload.case === "toolResult") return event;
    const { raw: _raw, ...own } = event;
    const text = texts.get(event.revision);
    if (text === undefined || event.payload.case !== "toolCall") return own;
    const value = { ...event.payload.value, arguments: text };
    return { ...own, payload: { case: "toolCall", value } };
  });
}
