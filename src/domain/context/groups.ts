import type { Event } from "@sessiond/contract";

/**
 * Events that stay or go together in a window: a model's response with its thinking and its tool
 * calls, all their results wherever they stand in the log, and their approvals; or one event alone.
 */
export interface Group {
  /** Revision of its first event, which names it. */
  readonly first: number;
  /** Revision of its last event. Groups may overlap: a late result stands behind younger groups. */
  readonly last: number;
  /** In log order. */
  readonly events: readonly Event[];
}

/**
 * Puts events, in log order, into groups, in the order of their first events. Events that belong to
 * no group's view of the conversation (records, results that answer nothing) are left out.
 */
export function groupEvents(events: Iterable<Event>): Group[] {
  const groups = new Map<number, Event[]>();
  for (const event of events) {
    if (event.group === 0) continue;
    const members = groups.get(event.group);
    if (members === undefined) groups.set(event.group, [event]);
    else members.push(event);
  }
  return Array.from(groups, ([first, members]) => ({
    first,
    last: members.at(-1)?.revision ?? first,
    events: members,
  }));
}
