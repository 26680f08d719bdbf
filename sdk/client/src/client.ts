import type { Interceptor } from "@connectrpc/connect";
import type { EventBatch, EventsDamaged, SessionDeleted } from "@sessiond/contract";
import { type Clients, createClients } from "./clients.ts";
import { consume } from "./consume/consume.ts";
import { Consumers } from "./consume/consumers.ts";
import type { ConsumeHandler, ConsumeOptions } from "./consume/options.ts";
import type { ClientContext } from "./context.ts";
import { Conversations } from "./conversation/conversations.ts";
import {
  type DeletedUserData,
  type DeleteUserDataOptions,
  deleteUserData,
} from "./delete-user-data.ts";
import { Metrics } from "./metrics/metrics.ts";
import { retryInterceptor } from "./retry/interceptor.ts";
import { type RetryEnvironment, type RetryOptions, retryPolicy } from "./retry/policy.ts";
import { requestIdInterceptor } from "./retry/request-id.ts";
import type { Run } from "./run/run.ts";
import type { RunInput } from "./run/run-input.ts";
import { type RunWork, startRun } from "./run/start-run.ts";
import { type SessionEvent, toSessionEvent } from "./session-event.ts";
import { Sessions } from "./sessions.ts";
import type { ClosableTransport } from "./transport/closable-transport.ts";
import { Watch, type WatchOptions } from "./watch.ts";
import { type CountInput, countTokens, type TokenCounts } from "./window/count-tokens.ts";

/** Options of a client, wherever it runs. */
export interface ClientOptions {
  /** Default "default". */
  readonly namespace?: string | undefined;
  /**
   * How calls are repeated and watches resumed. Default: 3 attempts with up to 2 s between them;
   * "reliable" waits 4 to 60 s.
   */
  readonly retry?: RetryOptions | "reliable" | undefined;
  /**
   * Time limit of a call with all its retries; 0: no limit. Default 60,000, more than the 30 s a
   * server may take to give up a commit. Watches have none.
   */
  readonly timeoutMs?: number | undefined;
  /** Wrap every attempt of every call, for example to add headers. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** Ids and clocks; for tests. */
  readonly environment?: Partial<ClientEnvironment> | undefined;
}

/** What the client takes from outside. */
export interface ClientEnvironment extends RetryEnvironment {
  readonly newId: () => string;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsedMs: () => number;
}

/** How a client reaches its server. */
export interface ClientConnection {
  readonly address: string;
  /** Makes the transport that the client closes at its end. */
  readonly open: (options: TransportOptions) => ClosableTransport;
}

/** What the client asks of its transport. */
export interface TransportOptions {
  /** Wrap every call; the first is the outermost. */
  readonly interceptors: readonly Interceptor[];
  /** Time limit of unary calls that name none; 0: no limit. */
  readonly defaultTimeoutMs: number;
}

export interface NamespaceWatchOptions extends WatchOptions {
  /** Called when a session of the namespace was deleted, in order with the events. */
  readonly onSessionDeleted?: ((deleted: SessionDeleted) => void) | undefined;
  /**
   * Called when events of a session are damaged in the store and left out. Without it the watch
   * fails with DataLossError there.
   */
  readonly onEventsDamaged?: ((damaged: EventsDamaged) => void) | undefined;
}

/** An event of a namespace watch. */
export interface NamespaceEvent {
  readonly sessionId: string;
  /** Key of the session's log. */
  readonly sessionUid: string;
  readonly event: SessionEvent;
  /**
   * Place to continue from: behind this event, or before its batch while more of it is to come.
   * Save it when the event has been dealt with.
   */
  readonly cursor: string;
}

const defaultTimeoutMs = 60_000;

/**
 * What the clients for Node and for browsers have in common: everything but the way to the server.
 * Both are called `Sessiond`.
 */
export abstract class SessiondClient implements AsyncDisposable {
  /** Address of the server. */
  readonly address: string;
  readonly namespace: string;
  /** Creates, finds and deletes sessions. */
  readonly sessions: Sessions;
  /** Begins and resumes conversations. */
  readonly conversations: Conversations;
  /** Looks at consumers, and deletes them. */
  readonly consumers: Consumers;
  /** Numbers over many sessions. */
  readonly metrics: Metrics;
  /** The typed Connect clients underneath. */
  readonly clients: Clients;
  readonly #context: ClientContext;
  readonly #transport: ClosableTransport;

  constructor({ address, open }: ClientConnection, options: ClientOptions) {
    const { timeoutMs = defaultTimeoutMs, interceptors = [], environment = {} } = options;
    const newId = environment.newId ?? (() => crypto.randomUUID());
    const elapsedMs = environment.elapsedMs ?? (() => performance.now());
    const retry = retryPolicy(options.retry, environment);
    this.address = address;
    this.namespace = options.namespace ?? "default";
    this.#transport = open({
      interceptors: [requestIdInterceptor(newId), retryInterceptor(retry), ...interceptors],
      defaultTimeoutMs: timeoutMs,
    });
    this.clients = createClients(this.#transport);
    this.#context = { clients: this.clients, namespace: this.namespace, retry, newId, elapsedMs };
    this.sessions = new Sessions(this.#context);
    this.consumers = new Consumers(this.#context);
    this.metrics = new Metrics(this.#context);
    this.conversations = new Conversations(this.#context, this.sessions);
  }

  /**
   * Streams the events of all sessions of the namespace as they become durable: of each session
   * every event once, in order. See `Watch`.
   *
   * ```ts
   * for await (const { sessionId, event, cursor } of sessiond.watch({ from: "now" })) {
   *   console.log(sessionId, event.revision, event.text);
   * }
   * ```
   */
  watch(options: NamespaceWatchOptions = {}): Watch<NamespaceEvent> {
    const { onSessionDeleted, onEventsDamaged, ...watchOptions } = options;
    const source = {
      onSessionDeleted,
      onEventsDamaged,
      items: ({ sessionId, sessionUid, events }: EventBatch, cursorOf: (i: number) => string) =>
        events.map((event, index) => ({
          sessionId,
          sessionUid,
          event: toSessionEvent(event),
          cursor: cursorOf(index),
        })),
    };
    return new Watch(this.#context, source, watchOptions);
  }

  /**
   * Reads events as a consumer, whose place the server keeps under its name: gives each batch to the
   * handler, and commits it when the handler is done. The consumer is made if it is not there.
   *
   * At least once: what was not committed when this process ended is given again, also to another that
   * reads under the name by then. One reader at a time has a name; another waits, and goes on when that one
   * is gone. It survives restarts of the server, and ends well by `signal` and `close()`.
   *
   * Errors: those of the handler, whose batch is not committed; ConsumerGapError, ConsumerNotFoundError
   * (deleted meanwhile), SessionDeletedError, SessionNotFoundError, InvalidFieldError, UsageError (the
   * consumer reads something else), ServerUnavailableError when resuming was given up.
   *
   * ```ts
   * const filter = 'event.type == "tool_call"';
   * await sessiond.consume("audit", { filter }, async ({ sessionId, events }) => {
   *   for (const { revision, toolCall } of events) console.log(sessionId, revision, toolCall?.name);
   * });
   * ```
   */
  consume(name: string, options: ConsumeOptions, handler: ConsumeHandler): Promise<void> {
    return consume(this.#context, name, options, handler);
  }

  /**
   * Runs an agent: creates a session with preset "execution", does the work, records its steps and
   * what it gives or throws, and ends the session.
   *
   * It begins at once. The result is awaitable, iterable, both or neither, see `Run`: an error of the
   * work is a result with status "failed", so nothing goes unhandled. When the run is cancelled or
   * reaches a limit it is over at once, and the work is told by `run.signal`.
   *
   * ```ts
   * const limits = { maxSteps: 15, timeoutMs: 180_000 };
   * const run = sessiond.run({ agentId: "researcher", goal: "AI trends", limits }, async (run) => {
   *   const input = { query: "AI trends" };
   *   return run.step("tool_call", { name: "search", input }, () =>
   *     fetch("https://example.org/?q=AI", { signal: run.signal }).then((page) => page.text()),
   *   );
   * });
   * for await (const { type, stepNumber, content } of run) console.log(type, stepNumber, content);
   * const { status, output, steps, error, usage } = await run;
   * ```
   */
  run<T>(input: RunInput, work: RunWork<T>): Run<T> {
    return startRun({ context: this.#context, sessions: this.sessions }, input, work);
  }

  /**
   * Counts tokens as windows do: of texts, of events as they would be appended, of tools with their
   * schemas. Needs no session.
   *
   * Errors: NotSupportedError for an unknown encoding, InvalidFieldError.
   *
   * ```ts
   * const { total, texts } = await sessiond.countTokens({ texts: ["Where to?", "Osaka"] });
   * console.log(total.count, total.encoding, texts[1]?.count);
   * ```
   */
  countTokens(input: CountInput): Promise<TokenCounts> {
    return countTokens(this.#context, input);
  }

  /**
   * Deletes all sessions of a user in the namespace, with their logs and children, whatever their state.
   * Repeating it finds what is left. Look at `failed` and `forks` for what is not gone.
   *
   * ```ts
   * const { deleted, forks } = await sessiond.deleteUserData("42");
   * ```
   */
  deleteUserData(userId: string, options: DeleteUserDataOptions = {}): Promise<DeletedUserData> {
    return deleteUserData(this.#context, userId, options);
  }

  /**
   * Ends open calls and watches, and the connection. `await using` calls it.
   *
   * ```ts
   * sessiond.close();
   * ```
   */
  close(): void {
    this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
