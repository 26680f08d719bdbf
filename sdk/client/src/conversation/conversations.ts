import type { ClientContext } from "../context.ts";
import { type ShortFields, toSessionFields } from "../run/run-input.ts";
import type { Session } from "../session.ts";
import type { CreateOptions, Sessions } from "../sessions.ts";
import type { DialectWord } from "../words.ts";
import type { Answer, ConversationView } from "./answer.ts";
import { Conversation } from "./conversation.ts";

/** A new conversation. Fields that are left open are those of a session without a preset. */
export interface ConversationInput<D extends DialectWord = "openai-chat">
  extends Omit<ShortFields, "systemInstructions">,
    ConversationView<D>,
    Pick<CreateOptions, "ifExists"> {
  /** Agent that answers. */
  readonly agentId: string;
  /** 1 to 200 bytes. Default: the server makes one up. */
  readonly sessionId?: string | undefined;
  /** System prompt. */
  readonly systemOverride?: string | undefined;
  /** Newest messages the agents see, from 1 on. Default: as many as their window has room for. */
  readonly maxHistory?: number | undefined;
}

/** The conversations of a namespace. Each is a session. */
export class Conversations {
  readonly #context: ClientContext;
  readonly #sessions: Sessions;

  constructor(context: ClientContext, sessions: Sessions) {
    this.#context = context;
    this.#sessions = sessions;
  }

  /**
   * Begins a conversation. `answer` is asked for every message that is sent, with what a model
   * should see of the conversation.
   *
   * Errors: SessionAlreadyExistsError, InvalidFieldError.
   *
   * ```ts
   * const conversation = await sessiond.conversations.create(
   *   {
   *     agentId: "tutor",
   *     systemOverride: "You are a helpful coding assistant.",
   *     maxHistory: 10,
   *     context: { userName: "Alice", preferences: { language: "Python" } },
   *   },
   *   async (messages, { signal }) => {
   *     const body = JSON.stringify({ model: "gpt-5", messages });
   *     const response = await fetch("https://example.org/v1", { method: "POST", body, signal });
   *     return response.text();
   *   },
   * );
   * console.log(await conversation.send("What is machine learning?"));
   * console.log(await conversation.send("Can you give me an example?"));
   * for await (const { role, content } of conversation.messages) console.log(role, content);
   * await conversation.close();
   * ```
   */
  async create<D extends DialectWord = "openai-chat">(
    input: ConversationInput<D>,
    answer: Answer<D>,
  ): Promise<Conversation<D>> {
    const { dialect, window, ifExists, sessionId, systemOverride, maxHistory, ...fields } = input;
    const limits = maxHistory === undefined ? fields.limits : { ...fields.limits, maxHistory };
    const session = await this.#sessions.create(
      {
        ...toSessionFields(fields),
        ...(systemOverride === undefined ? {} : { systemInstructions: systemOverride }),
        ...(limits === undefined ? {} : { limits }),
        ...(sessionId === undefined ? {} : { sessionId }),
      },
      { ifExists },
    );
    return this.#handle(session, answer, { dialect, window });
  }

  /**
   * Goes on with a conversation, after days as after a restart; one that has ended is reopened.
   * `answer` is for the agent that answered last, see `conversation.agentId`.
   *
   * Errors: SessionNotFoundError, SessionTtlPassedError when its time to live has passed.
   *
   * ```ts
   * const conversation = await sessiond.conversations.resume("user-42", (messages) => {
   *   return `I have read ${messages.length} messages.`;
   * });
   * console.log(await conversation.send("Where were we?"));
   * ```
   */
  async resume<D extends DialectWord = "openai-chat">(
    sessionId: string,
    answer: Answer<D>,
    view: ConversationView<D> = {},
  ): Promise<Conversation<D>> {
    const session = await this.#sessions.get(sessionId);
    if (session.hasEnded) await session.reopen({ reason: "resumed" });
    return this.#handle(session, answer, view);
  }

  #handle<D extends DialectWord>(
    session: Session,
    answer: Answer<D>,
    { dialect, window }: ConversationView<D>,
  ): Conversation<D> {
    // Without a dialect D is its default: nobody has said another.
    const view = { dialect: dialect ?? ("openai-chat" as D), window };
    return new Conversation({ context: this.#context, session, answer, view });
  }
}
