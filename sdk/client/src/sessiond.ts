import type { Interceptor } from "@connectrpc/connect";
import type { EventBatch, SessionDeleted } from "@sessiond/contract";
import { resolveAddress } from "./address.ts";
import { type Clients, createClients } from "./clients.ts";
import type { ClientContext } from "./context.ts";
import { retryInterceptor } from "./retry/interceptor.ts";
import { type RetryEnvironment, type RetryOptions, retryPolicy } from "./retry/policy.ts";
import { requestIdInterceptor } from "./retry/request-id.ts";
import { type SessionEvent, toSessionEvent } from "./session-event.ts";
import { Sessions } from "./sessions.ts";
import { type ClosableTransport, createGrpcTransport } from "./transport/grpc-transport.ts";
import { Watch, type WatchOptions } from "./watch.ts";

export interface SessiondOptions {
  /** `host:port` or `unix:/path`. Default: `SESSIOND_ADDRESS`, else 127.0.0.1:7377. */
  readonly address?: string | undefined;
  /** Default "default". */
  readonly namespace?: string | undefined;
  /** How calls are repeated and watches resumed. */
  readonly retry?: RetryOptions | undefined;
  /**
   * Time limit of a call with all its retries; 0: no limit. Default 60,000, more than the 30 s a
   * server may take to give up a commit. Watches have none.
   */
  readonly timeoutMs?: number | undefined;
  /** Wrap every attempt of every call, for example to add headers. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** Environment, ids and clock; for tests. */
  readonly environment?: Partial<ClientEnvironment> | undefined;
}

/** What the client takes from outside. */
export interface ClientEnvironment extends RetryEnvironment {
  readonly newId: () => string;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

export interface NamespaceWatchOptions extends WatchOptions {
  /** Called when a session of the namespace was deleted, in order with the events. */
  readonly onSessionDeleted?: ((deleted: SessionDeleted) => void) | undefined;
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
 * A client of one sessiond, for one namespace. Connects with the first call.
 *
 * ```ts
 * await using sessiond = new Sessiond();
 * const session = await sessiond.sessions.create({ sessionId: "user-42" });
 * await session.append({ role: "user", text: "I want to visit Japan next month" });
 * ```
 */
export class Sessiond implements AsyncDisposable {
  /** Address of the server. */
  readonly address: string;
  readonly namespace: string;
  /** Creates, finds and deletes sessions. */
  readonly sessions: Sessions;
  /** The typed Connect clients underneath. */
  readonly clients: Clients;
  readonly #context: ClientContext;
  readonly #transport: ClosableTransport;

  /** Errors: UsageError for an address or a retry option that makes no sense. */
  constructor(options: string | SessiondOptions = {}) {
    const given = typeof options === "string" ? { address: options } : options;
    const { timeoutMs = defaultTimeoutMs, interceptors = [], environment = {} } = given;
    const newId = environment.newId ?? (() => crypto.randomUUID());
    const retry = retryPolicy(given.retry, environment);
    this.address = resolveAddress(given.address, environment.variables ?? process.env);
    this.namespace = given.namespace ?? "default";
    this.#transport = createGrpcTransport({
      address: this.address,
      interceptors: [requestIdInterceptor(newId), retryInterceptor(retry), ...interceptors],
      defaultTimeoutMs: timeoutMs,
    });
    this.clients = createClients(this.#transport);
    this.#context = { clients: this.clients, namespace: this.namespace, retry, newId };
    this.sessions = new Sessions(this.#context);
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
  watch({ onSessionDeleted, ...options }: NamespaceWatchOptions = {}): Watch<NamespaceEvent> {
    const source = {
      onSessionDeleted,
      items: ({ sessionId, sessionUid, events }: EventBatch, cursorOf: (i: number) => string) =>
        events.map((event, index) => ({
          sessionId,
          sessionUid,
          event: toSessionEvent(event),
          cursor: cursorOf(index),
        })),
    };
    return new Watch(this.#context, source, options);
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
