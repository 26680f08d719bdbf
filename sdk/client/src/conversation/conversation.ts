import type { ClientContext } from "../context.ts";
import { UsageError } from "../errors/client-errors.ts";
import { EndWatch } from "../lifecycle/end-watch.ts";
import { overSignal } from "../lifecycle/over-signal.ts";
import { untilAborted } from "../lifecycle/until-aborted.ts";
import type { PageList } from "../page.ts";
import type { Session } from "../session.ts";
import type { DialectWord } from "../words.ts";
import type { Answer, AnswerText, ConversationView } from "./answer.ts";
import { answerBehind, type ConversationMessage, listMessages } from "./messages.ts";

/** How a message is sent. */
export interface SendOptions {
  /** Gives the answer up. The message stays in the conversation. */
  readonly signal?: AbortSignal | undefined;
}

/** Why an agent hands over. */
export interface HandoffOptions {
  /** In words, up to 4 KiB. Default: nothing said. */
  readonly reason?: string | undefined;
}

/** What a conversation consists of. */
export interface ConversationParts<D extends DialectWord> {
  readonly context: ClientContext;
  readonly session: Session;
  readonly answer: Answer<D>;
  readonly view: ConversationView<D> & { readonly dialect: D };
}

/**
 * A conversation of a user with an agent, or with several one after another. All of it is in the
 * log of its session; this handle keeps nothing but who answers, and holds nothing open between messages.
 */
export class Conversation<D extends DialectWord = "openai-chat"> {
  /** Its session, for everything else. */
  readonly session: Session;
  readonly #context: ClientContext;
  readonly #view: ConversationParts<D>["view"];
  #agentId: string;
  #answer: Answer<D>;
  #isAnswering = false;

  constructor({ context, session, answer, view }: ConversationParts<D>) {
    this.#context = context;
    this.session = session;
    this.#agentId = session.message.agentId;
    this.#answer = answer;
    this.#view = view;
  }

  get sessionId(): string {
    return this.session.sessionId;
  }

  /** Agent that answers now. */
  get agentId(): string {
    return this.#agentId;
  }

  /** Its messages, oldest first: awaited a page, iterated all of them. */
  get messages(): PageList<ConversationMessage> {
    return listMessages(this.session);
  }

  /**
   * Sends a user's message, and gives what the agent answers. Both are in the log then.
   *
   * When the agent fails, its error is thrown and the message stays without an answer. A
   * conversation answers one message at a time.
   *
   * Errors: those of the agent, UsageError while another message is being answered, or when the agent
   * gave no answer; SessionEndedError, ContextTooLongError, EventTooLargeError.
   *
   * ```ts
   * const conversation = await sessiond.conversations.create({ agentId: "tutor" }, () => "Yes.");
   * console.log(await conversation.send("Can machines learn?"));
   * ```
   */
  async send(text: string, { signal: given }: SendOptions = {}): Promise<string> {
    if (this.#isAnswering) {
      throw new UsageError("another message is being answered; await its `send` first");
    }
    this.#isAnswering = true;
    const { session } = this;
    const endWatch = new EndWatch(this.#context, session.sessionId);
    try {
      const over = overSignal(endWatch);
      const signal = given === undefined ? over : AbortSignal.any([over, given]);
      const author = session.message.userId;
      const { headRevision } = await session.append({ role: "user", text, author }, { signal });
      return await this.#answered(headRevision, signal);
    } finally {
      endWatch.close();
      this.#isAnswering = false;
    }
  }

  /**
   * Hands the conversation over to another agent, who answers from now on and sees all of it. An
   * agent may do so in the middle of its answer.
   *
   * Errors: SessionEndedError, InvalidFieldError.
   *
   * ```ts
   * const conversation = await sessiond.conversations.create({ agentId: "tutor" }, () => "Wait.");
   * await conversation.handoff("expert", (messages) => `I read ${messages.length} messages.`);
   * console.log(await conversation.send("Can machines learn?"));
   * ```
   */
  async handoff(to: string, answer: Answer<D>, options: HandoffOptions = {}): Promise<void> {
    const { reason = "" } = options;
    const handoff = { from: this.#agentId, to, reason };
    await this.session.append({ payload: { case: "handoff", value: handoff } });
    await this.session.update({ agentId: to });
    this.#agentId = to;
    this.#answer = answer;
  }

  /**
   * Ends it as completed. `conversations.resume` opens it again.
   *
   * ```ts
   * const conversation = await sessiond.conversations.create({ agentId: "tutor" }, () => "Yes.");
   * await conversation.close();
   * ```
   */
  async close(): Promise<void> {
    await this.session.end();
  }

  async #answered(revision: number, signal: AbortSignal): Promise<string> {
    const { session } = this;
    const agentId = this.#agentId;
    const { dialect, window } = this.#view;
    const messages = await session.messages(dialect, { ...window, signal });
    const answering = async (): Promise<AnswerText> =>
      this.#answer(messages, { signal, session, agentId });
    const text = await untilAborted(answering(), signal);
    if (typeof text === "string") {
      await session.append({ role: "assistant", text, author: agentId }, { signal });
      return text;
    }
    const appended = await answerBehind(session, revision);
    if (appended !== undefined) return appended;
    throw new UsageError(
      `"${agentId}" neither gave a text nor appended a message of role assistant`,
    );
  }
}
