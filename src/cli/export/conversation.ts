import type { Session } from "@sessiond/client";
import type { Event, Session as SessionMessage } from "@sessiond/contract";
import { withAmendments } from "./amended.ts";

/** A session's log in memory, to be written as what was said; its calls have the arguments of amendments. */
export interface Conversation {
  readonly session: SessionMessage;
  readonly events: readonly Event[];
}

export async function readConversation(
  session: Session,
  signal: AbortSignal,
): Promise<Conversation> {
  const events: Event[] = [];
  for await (const { message } of session.events({ pageSize: 1_000, signal })) events.push(message);
  return { session: session.message, events: withAmendments(events) };
}
