import { PageList } from "../page.ts";
import type { Session } from "../session.ts";
import type { SessionEvent } from "../session-event.ts";
import type { RoleWord } from "../words.ts";

/** A message of a conversation. */
export interface ConversationMessage {
  readonly role: RoleWord | undefined;
  readonly content: string;
  /** Agent or user it comes from; empty when nobody said. */
  readonly author: string;
  readonly createTime: Date;
  /** Place in the session's log. */
  readonly revision: number;
}

/** Events read at once: between two messages there may be tool calls. */
const pageSize = 200;

/** Lists the messages of a session, oldest first. */
export function listMessages(session: Session): PageList<ConversationMessage> {
  return new PageList(async (pageToken) => {
    const { items, nextPageToken } = await session.events({ pageSize, pageToken });
    return { items: items.filter(isMessage).map(toMessage), nextPageToken };
  });
}

/** Text of the newest answer behind a revision; undefined when there is none. */
export async function answerBehind(
  session: Session,
  revision: number,
): Promise<string | undefined> {
  for await (const event of session.events({ order: "newest", first: revision + 1 })) {
    if (isMessage(event) && event.role === "assistant") return event.text;
  }
  return undefined;
}

function isMessage({ type }: SessionEvent): boolean {
  return type === "message";
}

function toMessage({
  role,
  text,
  author,
  createTime,
  revision,
}: SessionEvent): ConversationMessage {
  return { role, content: text, author, createTime, revision };
}
