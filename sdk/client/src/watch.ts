import type {
  EventBatch,
  EventsDamaged,
  SessionDeleted,
  WatchEventsResponse,
} from "@sessiond/contract";
import type { ClientContext } from "./context.ts";
import { type CallSubject, fromConnectError } from "./errors/from-connect-error.ts";
import { DataLossError } from "./errors/server-errors.ts";
import { watchMessages } from "./watch-messages.ts";
import { watchStarts } from "./words.ts";

/** Options of every watch. */
export interface WatchOptions {
  /** Where to begin without a cursor. Default: with the first event. */
  readonly from?: keyof typeof watchStarts | undefined;
  /** Continue behind this place, taken from `watch.cursor`; `from` is then ignored. */
  readonly cursor?: string | undefined;
  /**
   * Only events for which this is true: an expression in CEL over `event`, for example
   * `event.type == "tool_call" && event.tool != "search"`. The contract lists its fields. Default: all.
   */
  readonly filter?: string | undefined;
  /** Ends the watch, without an error. */
  readonly signal?: AbortSignal | undefined;
}

/** What to watch, and what to make of a batch. */
export interface WatchSource<T> {
  readonly sessionId?: string;
  readonly untilEnded?: boolean;
  /** Makes the items of a batch; `cursorOf(i)` is the place to continue from behind event i. */
  readonly items: (batch: EventBatch, cursorOf: (index: number) => string) => Iterable<T>;
  readonly onSessionDeleted?: ((deleted: SessionDeleted) => void) | undefined;
  readonly onEventsDamaged?: ((damaged: EventsDamaged) => void) | undefined;
}

/**
 * A live stream of events, to be iterated once.
 *
 * It opens when the first event is asked for, or with `open()`. When the connection breaks or the
 * server restarts it resumes by itself behind the last delivered batch, without gap or repeat, as
 * long as the client's `retry` option allows. Leaving the loop, aborting `signal` and `close()`
 * end it. A slow reader costs no memory: the rest waits in the server.
 *
 * Errors: SessionNotFoundError, SessionDeletedError, HistoryGoneError, CursorInvalidError,
 * TooManyWatchesError, ServerUnavailableError when resuming was given up.
 *
 * ```ts
 * const watch = session.watch({ cursor: await load() });
 * for await (const event of watch) {
 *   console.log(event.revision, event.text);
 *   await save(watch.cursor);
 * }
 * ```
 */
export class Watch<T> implements AsyncIterableIterator<T>, AsyncDisposable {
  readonly #source: WatchSource<T>;
  readonly #subject: CallSubject;
  readonly #ended = new AbortController();
  readonly #messages: AsyncGenerator<WatchEventsResponse>;
  readonly #items: AsyncGenerator<T, undefined>;
  readonly #signal: AbortSignal | undefined;
  #unlink = () => {};
  #first: Promise<IteratorResult<WatchEventsResponse>> | undefined;
  #cursor: string;

  constructor(context: ClientContext, source: WatchSource<T>, options: WatchOptions = {}) {
    const { sessionId = "", untilEnded = false } = source;
    const { from, cursor = "", filter = "", signal } = options;
    this.#source = source;
    this.#subject = sessionId === "" ? {} : { sessionId };
    this.#cursor = cursor;
    this.#signal = signal;
    this.#messages = watchMessages({
      clients: context.clients,
      retry: context.retry,
      signal: this.#ended.signal,
      request: {
        namespace: context.namespace,
        sessionId,
        cursor,
        untilEnded,
        filter,
        start: watchStarts[from ?? "beginning"],
      },
    });
    this.#items = this.#read();
  }

  /**
   * Place to continue from in another watch: behind the newest event handed out, or before its
   * batch while more of the batch is to come. Save it when the event has been dealt with.
   */
  get cursor(): string {
    return this.#cursor;
  }

  /**
   * Opens the stream now. Resolves when the server has confirmed it, so with `from: "now"` no
   * event appended afterwards is missed, and `cursor` is that place.
   *
   * ```ts
   * const watch = await session.watch({ from: "now" }).open();
   * ```
   */
  async open(): Promise<this> {
    const { done, value } = await this.#translated(this.#openOnce());
    // The first message only says where the watch is; once it is delivered, later ones count.
    if (!done && this.#cursor === "" && value.message.case === "created")
      this.#cursor = value.cursor;
    return this;
  }

  /**
   * Ends the watch; an iteration under way ends without an error.
   *
   * ```ts
   * const watch = session.watch();
   * setTimeout(() => watch.close(), 60_000);
   * for await (const event of watch) console.log(event.text);
   * ```
   */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#items.return(undefined);
    await this.#messages.return(undefined);
    this.#unlink();
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#items.next();
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #openOnce(): Promise<IteratorResult<WatchEventsResponse>> {
    if (this.#first === undefined) {
      this.#unlink = follow(this.#signal, this.#ended);
      this.#first = this.#messages.next();
    }
    return this.#first;
  }

  async *#read(): AsyncGenerator<T, undefined> {
    try {
      let result = await this.#translated(this.#openOnce());
      while (!result.done) {
        yield* this.#deliver(result.value);
        result = await this.#translated(this.#messages.next());
      }
    } finally {
      this.#unlink();
    }
  }

  *#deliver({ cursor, message }: WatchEventsResponse): Generator<T> {
    if (message.case === "events") {
      const before = this.#cursor;
      const last = message.value.events.length - 1;
      const cursorOf = (index: number) => (index === last ? cursor : before);
      let index = 0;
      for (const item of this.#source.items(message.value, cursorOf)) {
        this.#cursor = cursorOf(index);
        index += 1;
        yield item;
      }
    }
    if (message.case === "eventsDamaged") {
      if (this.#source.onEventsDamaged === undefined) throw damagedError(message.value);
      this.#source.onEventsDamaged(message.value);
    }
    if (message.case === "sessionDeleted") this.#source.onSessionDeleted?.(message.value);
    this.#cursor = cursor;
  }

  async #translated<R>(result: Promise<R>): Promise<R> {
    try {
      return await result;
    } catch (error) {
      throw fromConnectError(error, this.#subject);
    }
  }
}

/** The error of damage that nobody is to be told of. */
export function damagedError({
  sessionId,
  firstRevision,
  lastRevision,
}: EventsDamaged): DataLossError {
  return new DataLossError({
    message: `events ${firstRevision} to ${lastRevision} of session "${sessionId}" are damaged in the store; restore the session, or pass onEventsDamaged to go on without them`,
    code: "DATA_LOSS",
    reason: "DATA_LOSS",
    sessionId,
  });
}

/** Aborts the controller with the signal. Returns what takes the listener away again. */
function follow(signal: AbortSignal | undefined, controller: AbortController): () => void {
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  return () => signal?.removeEventListener("abort", abort);
}
