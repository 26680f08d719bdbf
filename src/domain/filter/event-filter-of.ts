import type { Event } from "@sessiond/contract";

/** Says whether an event of the session is to be shown. Never throws. */
export type EventFilter = (sessionId: string, event: Event) => boolean;

/**
 * The filter of a watch; undefined for one that is empty, which shows every event.
 *
 * What evaluates it is loaded with the first one, because that takes tens of milliseconds.
 *
 * Errors: InvalidFieldError for the field.
 */
export async function eventFilterOf(
  text: string,
  field = "filter",
): Promise<EventFilter | undefined> {
  if (text === "") return undefined;
  const { compileEventFilter } = await import("./event-filter.ts");
  return compileEventFilter(text, field);
}
