import type { Session as SessionMessage } from "@sessiond/contract";
import {
  type ImportOptions,
  type ImportOutcomeWord,
  importSession,
  outcomeWord,
} from "./bundle/import-session.ts";
import { type CallOptions, toConnectOptions, type WriteOptions } from "./call-options.ts";
import { Cleanup, type CleanupOptions } from "./cleanup.ts";
import { type ClientContext, translated } from "./context.ts";
import { type DeleteOptions, deleteSession } from "./delete-session.ts";
import { type PoolOptions, SessionPool } from "./lifecycle/session-pool.ts";
import type { PageList } from "./page.ts";
import { Session, type SessionOrigin } from "./session.ts";
import { type SessionFields, toSessionInit } from "./session-input.ts";
import { idOf, listSessions, type SessionQuery } from "./session-list.ts";
import { ifExists } from "./words.ts";

/** A new session: its fields, and how to create it. */
export interface NewSession extends SessionFields {
  /** 1 to 200 bytes. Default: the server makes one up. */
  readonly sessionId?: string;
  /**
   * The session whose child it is, or its name: it is deleted with that one. A session that `ifExists` finds
   * has to be its child, too. Default: nobody's child.
   */
  readonly parent?: Session | string | undefined;
}

export interface CreateOptions extends WriteOptions {
  /**
   * What to do when the name is taken: "fail" with SessionAlreadyExistsError, "return" the session
   * as it is, or "renew" it if it has ended. Default "fail".
   */
  readonly ifExists?: keyof typeof ifExists | undefined;
  /** The session starts with its first event instead of now. Default false. */
  readonly deferredStart?: boolean | undefined;
}

/** A session that was imported, and what became of it. */
export interface ImportedSession {
  readonly outcome: ImportOutcomeWord;
  /** With `dryRun` a handle on what it would be. */
  readonly session: Session;
}

/** The sessions of a namespace. */
export class Sessions {
  readonly #context: ClientContext;

  constructor(context: ClientContext) {
    this.#context = context;
  }

  /**
   * Creates a session.
   *
   * Errors: SessionAlreadyExistsError, InvalidFieldError, RequestIdReusedError, NotSupportedError. With a
   * `parent` also, about that one, SessionNotFoundError, SessionEndedError, ParentMismatchError for a
   * session that was found and is not its child, and TooManyGenerationsError.
   *
   * ```ts
   * const session = await sessiond.sessions.create({ sessionId: "user-42", agentId: "travel" });
   * const child = await sessiond.sessions.create({ parent: session, agentId: "flights" });
   * ```
   */
  async create(fields: NewSession = {}, options: CreateOptions = {}): Promise<Session> {
    const { requestId = this.#context.newId(), deferredStart = false } = options;
    const { sessionId = "", parent, ...rest } = fields;
    const { namespace, clients } = this.#context;
    const request = {
      session: { ...toSessionInit(rest), namespace, sessionId },
      parentSessionId: idOf(parent),
      ifExists: ifExists[options.ifExists ?? "fail"],
      deferredStart,
      requestId,
    };
    const call = clients.sessions.createSession(request, toConnectOptions(options));
    const response = await translated(call, { sessionId, requestId });
    return this.#handle(response.session, response);
  }

  /**
   * Gets a session. Errors: SessionNotFoundError.
   *
   * ```ts
   * const session = await sessiond.sessions.get("user-42");
   * ```
   */
  async get(sessionId: string, options: CallOptions = {}): Promise<Session> {
    const { namespace, clients } = this.#context;
    const call = clients.sessions.getSession({ namespace, sessionId }, toConnectOptions(options));
    return this.#handle((await translated(call, { sessionId })).session);
  }

  /**
   * Gets a session, or creates it with these fields. `session.created` says which.
   *
   * ```ts
   * const session = await sessiond.sessions.getOrCreate("user-42", { agentId: "travel" });
   * ```
   */
  getOrCreate(
    sessionId: string,
    fields: Omit<NewSession, "sessionId"> = {},
    options: CreateOptions = {},
  ): Promise<Session> {
    return this.create({ ...fields, sessionId }, { ifExists: "return", ...options });
  }

  /**
   * Makes a pool of handles: one call gives the session of an id, the one in use, the existing one, or
   * a fresh one instead of one that has ended or was idle for too long. See `SessionPool`.
   *
   * ```ts
   * const pool = sessiond.sessions.pool({ maxIdleMs: 1_800_000, fields: { agentId: "travel" } });
   * const session = await pool.get(userSession("42"));
   * ```
   */
  pool(options: PoolOptions = {}): SessionPool {
    return new SessionPool(this.#context, this, options);
  }

  /**
   * Lists sessions: awaited a page, iterated all of them. Errors: PageTokenInvalidError,
   * InvalidFieldError for a filter that does not compile, FilterFailedError for one that cannot tell,
   * SessionNotFoundError for a parent that is not there.
   *
   * ```ts
   * const page = await sessiond.sessions.list({ state: "active", pageSize: 20 });
   * for await (const session of sessiond.sessions.list({ userId: "42" })) await session.end();
   * ```
   */
  list(query: SessionQuery = {}): PageList<Session> {
    return listSessions(this.#context, query, (message) => new Session(this.#context, message));
  }

  /**
   * Deletes a session with its log, its children and theirs. Resolves to whether there was one.
   *
   * Errors: SessionNotFoundError unless `allowMissing`, DataLossError for a child that cannot be read.
   *
   * ```ts
   * await sessiond.sessions.delete("user-42", { allowMissing: true });
   * ```
   */
  delete(sessionId: string, options: DeleteOptions = {}): Promise<boolean> {
    return deleteSession(this.#context, sessionId, options);
  }

  /**
   * Ends or deletes sessions by idle time, age, error rate or a filter: awaited the totals, iterated
   * the sessions that match. Nothing happens before.
   *
   * A filter is tried on all sessions first, so that one that fails changes nothing. Beginning anew
   * finds what is left.
   *
   * Errors: InvalidFieldError, FilterFailedError.
   *
   * ```ts
   * const { changed } = await sessiond.sessions.cleanup(); // idle for 30 minutes
   * const old = { ageMs: 30 * 86_400_000, action: "delete", dryRun: true } as const;
   * for await (const { sessionId, why } of sessiond.sessions.cleanup(old)) console.log(sessionId, why);
   * ```
   */
  cleanup(options: CleanupOptions = {}): Cleanup {
    return new Cleanup(this.#context, options);
  }

  /**
   * Makes a session of the lines that `session.export()` gave, with its log, its compactions, its
   * counters and its end as they were. Nothing of it is visible before it is there whole, and nothing
   * stays of an import that fails. Over gRPC only, so not in browsers.
   *
   * Errors: BundleError with the line that is wrong, ImportInvalidError with the revision that cannot
   * be, SessionAlreadyExistsError, SessionQuotaExceededError, NamespaceFullError, SessionLogFullError.
   *
   * ```ts
   * const lines = await Array.fromAsync((await sessiond.sessions.get("user-42")).export());
   * await sessiond.sessions.delete("user-42");
   * const { session } = await sessiond.sessions.import(lines);
   * ```
   */
  async import(
    lines: AsyncIterable<string> | Iterable<string>,
    options: ImportOptions = {},
  ): Promise<ImportedSession> {
    const response = await importSession(this.#context, lines, options);
    return { outcome: outcomeWord(response), session: this.#handle(response.session) };
  }

  #handle(session: SessionMessage | undefined, origin?: SessionOrigin): Session {
    if (session === undefined) throw new TypeError("the server answered without a session");
    return new Session(this.#context, session, origin);
  }
}
