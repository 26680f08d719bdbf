import type { ClientContext } from "../context.ts";
import type { DeleteOptions } from "../delete-session.ts";
import { UsageError } from "../errors/client-errors.ts";
import { SessionNotFoundError } from "../errors/server-errors.ts";
import type { Session } from "../session.ts";
import type { SessionFields } from "../session-input.ts";
import type { Sessions } from "../sessions.ts";
import { isIdle } from "./idle.ts";
import { untilAborted } from "./until-aborted.ts";

/** What a pool holds, and for how long. */
export interface PoolOptions {
  /**
   * Time without an event after which a session is over and its name goes to a fresh one. Becomes
   * `expiry.idleTtlMs` of the sessions that the pool creates, unless `fields` have another. Default: as
   * each session's own expiry says.
   */
  readonly maxIdleMs?: number | undefined;
  /** Fields of sessions that it creates. `get` adds to them. */
  readonly fields?: SessionFields | undefined;
  /** Handles it holds; the one that was asked for the longest time ago leaves. Default 1,000. */
  readonly limit?: number | undefined;
  /**
   * Time for which `get` gives a held handle without asking the server whether its session goes on.
   * Default 5,000: an end by somebody else is known then, or with the first append that it refuses.
   */
  readonly trustMs?: number | undefined;
}

/** How a caller waits for a handle. */
export interface PoolGetOptions {
  /** Ends the wait with the signal's reason; the call goes on for others who wait for it. */
  readonly signal?: AbortSignal | undefined;
}

interface Held {
  readonly session: Session;
  /** When the server last said that it goes on. */
  readonly checkedMs: number;
}

const defaultLimit = 1_000;
const defaultTrustMs = 5_000;

/**
 * Handles on the sessions that are worked with, by id. Opens no watches: a handle knows of its end by
 * what its own calls are told, and by a read now and then.
 *
 * ```ts
 * const pool = sessiond.sessions.pool({ maxIdleMs: 1_800_000, fields: { agentId: "travel" } });
 * const session = await pool.get(userSession("42"), { userId: "42" });
 * await session.append({ role: "user", text: "I want to visit Japan next month" });
 * ```
 */
export class SessionPool {
  readonly #context: ClientContext;
  readonly #sessions: Sessions;
  readonly #options: PoolOptions;
  readonly #limit: number;
  readonly #trustMs: number;
  /** Least recently asked for first. */
  readonly #held = new Map<string, Held>();
  readonly #coming = new Map<string, Promise<Session>>();
  #isClosed = false;

  /** Errors: UsageError for options that make no sense. */
  constructor(context: ClientContext, sessions: Sessions, options: PoolOptions) {
    const { maxIdleMs, limit = defaultLimit, trustMs = defaultTrustMs } = options;
    if ((maxIdleMs !== undefined && !(maxIdleMs > 0)) || !(trustMs >= 0) || !(limit >= 1)) {
      throw new UsageError(
        "of a pool maxIdleMs is a time above 0, trustMs a time, and limit 1 or more",
      );
    }
    this.#context = context;
    this.#sessions = sessions;
    this.#options = options;
    this.#limit = limit;
    this.#trustMs = trustMs;
  }

  /** Handles it holds. */
  get size(): number {
    return this.#held.size;
  }

  /**
   * Gives the handle of a session: the one it holds, else one on the existing session, else on a fresh
   * one with these fields. A session that has ended or expired is renewed: it is kept as `<id>~1`,
   * `<id>~2` … and its name goes to a fresh one; one that was idle for too long is ended as expired
   * first. Calls for one id at one time share one answer, with the fields of the first.
   *
   * Errors: UsageError when the pool is closed, InvalidFieldError, and the signal's reason.
   *
   * ```ts
   * const pool = sessiond.sessions.pool({ maxIdleMs: 1_800_000 });
   * const session = await pool.get("user-42", { agentId: "travel" });
   * if (session.created) await session.append({ role: "system", text: "You plan trips." });
   * ```
   */
  async get(
    sessionId: string,
    fields: SessionFields = {},
    { signal }: PoolGetOptions = {},
  ): Promise<Session> {
    if (this.#isClosed) throw new UsageError("this pool is closed; make a new one");
    const coming = this.#coming.get(sessionId) ?? this.#bring(sessionId, fields);
    return signal === undefined ? coming : untilAborted(coming, signal);
  }

  /**
   * Lets go of a handle, and of the watch of its `signal`. The session goes on. Says whether there was
   * one.
   *
   * ```ts
   * const pool = sessiond.sessions.pool();
   * await pool.get("user-42");
   * pool.release("user-42");
   * ```
   */
  release(sessionId: string): boolean {
    this.#held.get(sessionId)?.session.close();
    return this.#held.delete(sessionId);
  }

  /**
   * Deletes a session with its log, whether or not the pool holds it. Resolves to whether there was one.
   *
   * Errors: SessionNotFoundError unless `allowMissing`.
   *
   * ```ts
   * const pool = sessiond.sessions.pool();
   * await pool.delete("user-42", { allowMissing: true });
   * ```
   */
  async delete(sessionId: string, options: DeleteOptions = {}): Promise<boolean> {
    // One that is being opened is there before it is deleted, and not held after it.
    await this.#coming.get(sessionId)?.catch(() => {});
    this.release(sessionId);
    return this.#sessions.delete(sessionId, options);
  }

  /**
   * Lets go of all handles. The sessions go on.
   *
   * ```ts
   * const pool = sessiond.sessions.pool();
   * pool.close();
   * ```
   */
  close(): void {
    this.#isClosed = true;
    for (const sessionId of [...this.#held.keys()]) this.release(sessionId);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #bring(sessionId: string, fields: SessionFields): Promise<Session> {
    const held = this.#held.get(sessionId);
    if (held !== undefined && this.#isTrusted(held)) {
      this.#hold(sessionId, held);
      return Promise.resolve(held.session);
    }
    const coming = this.#checked(sessionId, held?.session, fields).finally(() =>
      this.#coming.delete(sessionId),
    );
    this.#coming.set(sessionId, coming);
    return coming;
  }

  #isTrusted({ session, checkedMs }: Held): boolean {
    const ageMs = this.#context.retry.now() - checkedMs;
    // A clock that was set back makes no answer young.
    return ageMs >= 0 && ageMs < this.#trustMs && !session.hasEnded && !this.#isIdle(session);
  }

  async #checked(
    sessionId: string,
    held: Session | undefined,
    fields: SessionFields,
  ): Promise<Session> {
    const isGoing = held !== undefined && !held.hasEnded && (await this.#goesOn(held));
    const session = isGoing ? held : await this.#open(sessionId, fields);
    if (!this.#isClosed) {
      this.#hold(sessionId, { session, checkedMs: this.#context.retry.now() });
    }
    return session;
  }

  async #goesOn(session: Session): Promise<boolean> {
    try {
      await session.refresh();
    } catch (error) {
      if (error instanceof SessionNotFoundError) return false;
      throw error;
    }
    return !session.hasEnded && !this.#isIdle(session);
  }

  /** Finds or makes a session that goes on. */
  async #open(sessionId: string, given: SessionFields): Promise<Session> {
    const { fields, maxIdleMs } = this.#options;
    const wanted = {
      ...fields,
      ...given,
      ...(maxIdleMs === undefined
        ? {}
        : { expiry: { idleTtlMs: maxIdleMs, ...fields?.expiry, ...given.expiry } }),
      sessionId,
    };
    const found = await this.#sessions.create(wanted, { ifExists: "renew" });
    if (found.created || !this.#isIdle(found)) return found;
    await found.end({ state: "expired", reason: `idle for more than ${maxIdleMs} ms` });
    return this.#sessions.create(wanted, { ifExists: "renew" });
  }

  #isIdle({ message }: Session): boolean {
    const { maxIdleMs = Number.POSITIVE_INFINITY } = this.#options;
    return isIdle(message, { nowMs: this.#context.retry.now(), maxIdleMs });
  }

  /** Holds a handle as the one asked for last. Those that leave keep what they hold open: it is in use. */
  #hold(sessionId: string, held: Held): void {
    this.#held.delete(sessionId);
    this.#held.set(sessionId, held);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= this.#limit) return;
      this.#held.delete(oldest);
    }
  }
}
