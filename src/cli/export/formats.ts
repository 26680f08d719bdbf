import type { Session } from "@sessiond/client";
import type { Written } from "../bundle/export-bundle.ts";
import { anthropicDocument } from "./anthropic.ts";
import { type Conversation, readConversation } from "./conversation.ts";
import { jsonDocument } from "./json.ts";
import { openaiChatDocument } from "./openai-chat.ts";
import { openaiResponsesDocument } from "./openai-responses.ts";
import { transcriptDocument } from "./transcript.ts";

/** What is exported, and what to note in it. `written` counts along. */
export interface ConversationExport {
  readonly sessions: AsyncIterable<Session>;
  readonly exportedAt: string | undefined;
  readonly written: Written;
  readonly signal: AbortSignal;
}

type Document = (conversation: Conversation, exportedAt: string | undefined) => string;

/** Texts of all sessions, one document after another. */
function documents(document: Document) {
  return async function* texts(args: ConversationExport): AsyncGenerator<string> {
    const { sessions, exportedAt, written, signal } = args;
    for await (const session of sessions) {
      const conversation = await readConversation(session, signal);
      yield document(conversation, exportedAt);
      written.sessions += 1;
      written.events += conversation.events.length;
    }
  };
}

/** Forms that hold what was said in sessions, and not the sessions themselves. */
export const conversationFormats = {
  json: documents(jsonDocument),
  "openai-chat": documents(openaiChatDocument),
  "openai-responses": documents(openaiResponsesDocument),
  anthropic: documents(anthropicDocument),
  transcript: documents(transcriptDocument),
} as const;

export type ConversationFormat = keyof typeof conversationFormats;
