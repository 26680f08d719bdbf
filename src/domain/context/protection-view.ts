import { create } from "@bufbuild/protobuf";
import { type Event, ProtectionSchema } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";

/** Events as they are protected now, by the event they were made of. */
const views = new WeakMap<Event, Event>();

/**
 * Events with the protection they have now: what is stored with an event says what it had when it
 * was appended.
 */
export function withProtection<Events extends readonly Event[]>(
  events: Events,
  state: ContextState,
): Events | Event[] {
  if (!state.protectionChanged) return events;
  const reasons = new Map(state.protected.map(({ revision, reason }) => [revision, reason]));
  return events.map((event) => {
    const reason = reasons.has(event.revision)
      ? reasons.get(event.revision) || event.protection?.reason
      : undefined;
    return reason === event.protection?.reason ? event : viewOf(event, reason);
  });
}

function viewOf(event: Event, reason: string | undefined): Event {
  const known = views.get(event);
  if (known !== undefined && known.protection?.reason === reason) return known;
  const { protection: _stored, ...rest } = event;
  const view: Event =
    reason === undefined ? rest : { ...rest, protection: create(ProtectionSchema, { reason }) };
  views.set(event, view);
  return view;
}
