import { create } from "@bufbuild/protobuf";
import { type Amendment, type Event, ToolCallSchema } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import { DataLossError } from "../../errors.ts";
import type { EventCache, Log } from "./event-cache.ts";

/** Calls as they are amended, by the event they were made of. */
const views = new WeakMap<Event, { readonly amendment: number; readonly view: Event }>();

/** Where the arguments of amended calls are, and how they are read. */
export interface Amendments {
  /** Revisions of the newest amendments, by those of their calls. */
  readonly revisions: ReadonlyMap<number, number>;
  read(revision: number): Promise<Event | undefined>;
}

/** Revisions of the newest amendments, by those of their calls. */
export function amendmentsOf({ amendedCalls }: ContextState): ReadonlyMap<number, number> {
  return new Map(amendedCalls.map((call) => [call.revision, call.amendmentRevision]));
}

/**
 * Events with the arguments that their calls have now: what is stored with a call says what it had when
 * it was appended. Errors: DataLossError.
 */
export async function withAmendments(
  events: readonly Event[],
  { cache, log, state }: { cache: EventCache; log: Log; state: ContextState },
): Promise<readonly Event[]> {
  if (state.amendedCalls.length === 0) return events;
  const amendments: Amendments = {
    revisions: amendmentsOf(state),
    read: async (revision) => (await cache.range(log, revision, revision))[0],
  };
  const amended: Event[] = [];
  for (const event of events) {
    // Most are not, and a turn of the event loop's queue for each would add up.
    const isAmended = amendments.revisions.has(event.revision);
    amended.push(isAmended ? await asAmended(event, amendments) : event);
  }
  return amended;
}

/** One event with the arguments it has now, if it is a call that was amended. Errors: DataLossError. */
export async function asAmended(event: Event, amendments: Amendments): Promise<Event> {
  const amendment = amendments.revisions.get(event.revision);
  if (amendment === undefined) return event;
  const known = views.get(event);
  if (known?.amendment === amendment) return known.view;
  const found = await amendments.read(amendment);
  if (found?.payload.case !== "amendment") {
    throw new DataLossError({ record: `event ${amendment}, the amendment of ${event.revision}` });
  }
  const view = amendedBy(event, found.payload.value, found.tokens);
  views.set(event, { amendment, view });
  return view;
}

/**
 * A call with other arguments. The provider's own form of it goes, because it says the old ones, and so
 * do signatures in it, because they are over them.
 */
export function amendedBy(
  event: Event,
  { arguments: text }: Pick<Amendment, "arguments">,
  tokens: Event["tokens"],
): Event {
  if (event.payload.case !== "toolCall") return event;
  const { raw: _raw, tokens: _tokens, ...rest } = event;
  const { callId, name } = event.payload.value;
  const value = create(ToolCallSchema, { callId, name, arguments: text });
  return { ...rest, payload: { case: "toolCall", value }, ...(tokens && { tokens }) };
}
