import { type Event, type SessionEnd, SessionState } from "@sessiond/contract";
import { type ClientContext, translated } from "../context.ts";
import { ClientClosedError } from "../errors/client-errors.ts";
import {
  SessionDeletedError,
  SessionEndedError,
  SessionNotFoundError,
} from "../errors/server-errors.ts";
import type { SessiondError } from "../errors/sessiond-error.ts";
import { Watch } from "../watch.ts";

/** Follows a session until it ends or is deleted. Open until then, or until it is closed. */
export class EndWatch {
  readonly #context: ClientContext;
  readonly #sessionId: string;
  readonly #ended = new AbortController();
  readonly #closed = new AbortController();
  #following: Promise<void> | undefined;

  constructor(context: ClientContext, sessionId: string) {
    this.#context = context;
    this.#sessionId = sessionId;
  }

  /** Fires with the session's end, or its deletion, as its reason. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /**
   * Opens the watch. Resolves when the signal has fired or the watch was closed; rejects with
   * ClientClosedError when the client was closed first. Nobody has to wait for it.
   */
  open(): Promise<void> {
    if (this.#following === undefined) {
      this.#following = this.#follow();
      this.#following.catch(() => {});
    }
    return this.#following;
  }

  close(): void {
    this.#closed.abort();
  }

  async #follow(): Promise<void> {
    const { retry } = this.#context;
    while (!this.#closed.signal.aborted) {
      try {
        const end = await this.#nextEnd();
        if (end !== undefined) return this.#ended.abort(end);
      } catch (error) {
        if (isGone(error)) return this.#ended.abort(error);
        // Whatever else is wrong, the session goes on, and its end must not be missed.
        if (error instanceof ClientClosedError) throw error;
        await retry.sleep(retry.maxMs, this.#closed.signal);
      }
    }
  }

  /** Waits for the next end. Undefined: it was reopened before anybody could read how it ended. */
  async #nextEnd(): Promise<SessiondError | undefined> {
    const sessionId = this.#sessionId;
    const items = ({ events }: { events: Event[] }) => events;
    const source = { sessionId, untilEnded: true, items };
    const watch = new Watch(this.#context, source, { from: "now", signal: this.#closed.signal });
    for await (const { payload } of watch) {
      if (payload.case === "sessionEnded") return endedError(sessionId, payload.value);
    }
    if (this.#closed.signal.aborted) return undefined;
    const { namespace, clients } = this.#context;
    const subject = { sessionId };
    const call = clients.sessions.getSession({ namespace, sessionId });
    const { session } = await translated(call, subject);
    return session?.endTime === undefined ? undefined : endedError(sessionId, session);
  }
}

/** The error that appends to a session fail with once it has ended, made on this side. */
export function endedError(
  sessionId: string,
  { state, end }: { readonly state: SessionState; readonly end?: SessionEnd | undefined },
): SessionEndedError {
  const word = SessionState[state] ?? "";
  const why = end?.reason || end?.errorMessage;
  return new SessionEndedError({
    message: `session "${sessionId}" ended as ${word}${why ? `: ${why}` : ""}`,
    code: "FAILED_PRECONDITION",
    reason: "SESSION_ENDED",
    details: { state: word },
    sessionId,
  });
}

function isGone(error: unknown): boolean {
  return error instanceof SessionDeletedError || error instanceof SessionNotFoundError;
}
