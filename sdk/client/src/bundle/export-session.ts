import { type CallOptions, toConnectOptions } from "../call-options.ts";
import type { ClientContext } from "../context.ts";
import { fromConnectError } from "../errors/from-connect-error.ts";
import { partLines } from "./lines.ts";

/**
 * The lines of a session in a bundle: itself, its events, its end. Nothing is asked for before it is
 * iterated; each iteration is a fresh export, and a reader that rests holds one message.
 *
 * Errors: SessionNotFoundError, SessionDeletedError when it is deleted meanwhile, DataLossError.
 */
export class SessionExport implements AsyncIterable<string> {
  readonly #context: ClientContext;
  readonly #sessionId: string;
  readonly #options: CallOptions;

  constructor(context: ClientContext, sessionId: string, options: CallOptions) {
    this.#context = context;
    this.#sessionId = sessionId;
    this.#options = options;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    const { namespace, clients } = this.#context;
    const sessionId = this.#sessionId;
    const left = new AbortController();
    const signal = AbortSignal.any(
      [left.signal, this.#options.signal].filter((s) => s !== undefined),
    );
    const options = toConnectOptions({ ...this.#options, signal });
    try {
      for await (const part of clients.sessions.exportSession({ namespace, sessionId }, options)) {
        yield* partLines(part);
      }
    } catch (error) {
      throw fromConnectError(error, { sessionId });
    } finally {
      // Leaving a stream early does not end its call.
      left.abort();
    }
  }
}
