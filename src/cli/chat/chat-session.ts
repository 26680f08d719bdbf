import {
  type AppendResult,
  type EventInput,
  type Session,
  type Sessiond,
  SessionEndedError,
  type SessionFields,
  SessionNotFoundError,
} from "@sessiond/client";
import { cut } from "../text/width.ts";
import type { Status } from "./status.ts";

/** Columns of a title that is made of a message. */
const titleColumns = 50;
/** How long an empty session may take to go away again. */
const discardMs = 2_000;

/**
 * The session a chat is in. It is created with the first message, so that a chat in which nothing
 * was said leaves nothing, and another takes its place when it has ended.
 */
export class ChatSession {
  readonly #sessiond: Sessiond;
  readonly #status: Status;
  readonly #fields: SessionFields;
  #title: string;
  readonly #hasCommands: boolean;
  #session: Session | undefined;
  /** Hints that were shown about it. */
  #shown = new Set<string>();

  /** `fields` are those of a new session; without a title it gets that of its first message. */
  constructor(args: {
    sessiond: Sessiond;
    status: Status;
    fields: SessionFields;
    resumed?: Session | undefined;
    /** Lines such as `!new` are no messages. */
    hasCommands: boolean;
  }) {
    this.#sessiond = args.sessiond;
    this.#status = args.status;
    this.#fields = args.fields;
    this.#title = args.fields.title ?? "";
    this.#session = args.resumed;
    this.#hasCommands = args.hasCommands;
  }

  /** Undefined: the next message creates it. */
  get current(): Session | undefined {
    return this.#session;
  }

  /** Leaves the session as it is; the next message begins another. */
  leave(title = ""): void {
    this.#session = undefined;
    this.#title = title;
    this.#shown = new Set();
  }

  /**
   * Appends a user's message, in a new session where there is none or it has ended meanwhile.
   *
   * Errors: those of `Sessions.create` and `Session.append`; then nothing was created.
   */
  async say(text: string, signal: AbortSignal): Promise<{ session: Session; isDurable: boolean }> {
    // The user is named by the session. An author would go to the model as the name of each message.
    const message = { role: "user", text: text.toWellFormed() } as const;
    const known = this.#session;
    if (known !== undefined) {
      try {
        return this.#said(known, await known.append(message, { signal }));
      } catch (error) {
        const why = whyOver(error);
        if (why === undefined) throw error;
        this.#status.note(`${why}; this message begins a new one`);
        this.leave();
      }
    }
    const session = await this.#create(text, signal);
    try {
      const result = await session.append(message, { signal });
      this.#session = session;
      this.#status.started(session);
      return this.#said(session, result);
    } catch (error) {
      await discardEmpty(session);
      throw error;
    }
  }

  /** Stores what became of an answer, in one batch. Errors: those of `Session.append`. */
  async store(session: Session, events: readonly EventInput[]): Promise<{ isDurable: boolean }> {
    return this.#said(session, await session.append(events));
  }

  #create(text: string, signal: AbortSignal): Promise<Session> {
    const title = this.#title === "" ? titleOf(text) : this.#title;
    return this.#sessiond.sessions.create({ ...this.#fields, title }, { signal });
  }

  #said(session: Session, { message, isDurable }: AppendResult) {
    for (const { code, message: sentence } of message.hints) {
      if (this.#shown.has(code)) continue;
      this.#shown.add(code);
      const what = code === "long_session" && this.#hasCommands ? `${sentence}: !new` : sentence;
      this.#status.hint(what);
    }
    return { session, isDurable };
  }
}

/** The first words of a message, as the title of a session that has none. */
export function titleOf(text: string): string {
  return cut(text.toWellFormed().trim().replace(/\s+/g, " "), titleColumns);
}

/** Why a session takes no more messages; undefined for other errors. */
function whyOver(error: unknown): string | undefined {
  if (error instanceof SessionNotFoundError) return "the session was deleted";
  if (!(error instanceof SessionEndedError)) return undefined;
  if (error.state === "EXPIRED") return "the session has expired";
  return `the session has ended (${error.state.toLowerCase()})`;
}

/** Removes a session whose first message was not stored. */
async function discardEmpty(session: Session): Promise<void> {
  const call = { timeoutMs: discardMs };
  try {
    const { headRevision } = await session.refresh(call);
    if (headRevision <= 1) await session.delete({ allowMissing: true, ...call });
  } catch {
    // The server is gone; the session then expires by itself.
  }
}
