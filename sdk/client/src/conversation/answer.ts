import type { RequestPart } from "../dialects/request-part.ts";
import type { Session } from "../session.ts";
import type { MessagesOptions } from "../window/get-window.ts";
import type { DialectWord } from "../words.ts";

/** What an agent gets beside the messages. */
export interface AnswerContext {
  /** Fires when the conversation ends or the send is aborted. Give it to the model call. */
  readonly signal: AbortSignal;
  /** The conversation's session, for everything else. */
  readonly session: Session;
  /** Agent that is asked. */
  readonly agentId: string;
}

/**
 * Answers the newest message of a conversation. `messages` are its context window, in the form of
 * the provider. Gives the text of the answer, or nothing when it has appended the answer itself.
 */
export type Answer<D extends DialectWord = "openai-chat"> = (
  messages: RequestPart<D>,
  context: AnswerContext,
) => AnswerText | Promise<AnswerText>;

// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return statement gives it.
export type AnswerText = string | undefined | void;

/** How a conversation shows itself to its agents. */
export interface ConversationView<D extends DialectWord = "openai-chat"> {
  /** Form of the messages. Default "openai-chat". */
  readonly dialect?: D | undefined;
  /** What of the conversation the agents see. Default: as the session's own policy says. */
  readonly window?: Omit<MessagesOptions, "signal" | "timeoutMs"> | undefined;
}
