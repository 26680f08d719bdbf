import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { SessionEndSchema, SessionState } from "@sessiond/contract";
import { DataLossError, NamespaceFullError, SessionQuotaExceededError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { endSession } from "../lifecycle/end.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { hasEnded } from "../lifecycle/states.ts";
import type { SessionCells, SessionName } from "../session-cells.ts";
import { Admission } from "./admission.ts";
import { Ledger, ownBytes } from "./ledger.ts";
import type { Quota, QuotaOf } from "./quota.ts";
import { readSessions } from "./read-sessions.ts";

/**
 * Says whether a decision keeps to the quota of its namespace. To be called in the same turn of the
 * event loop as the decision; the place that a session takes is kept until the call is over.
 *
 * Errors: SessionQuotaExceededError, NamespaceFullError.
 */
export type Admit = (before: StoredSession | undefined, after: StoredSession) => void;

const admitAll: Admit = () => {};

/** What is counted of one namespace. */
interface Book {
  readonly ledger: Ledger;
  readonly filled: Promise<void>;
  /** Calls that look into it. */
  users: number;
  /** Those who need room made follow one another: a session of theirs may be there by then. */
  turn: Promise<unknown>;
}

/**
 * Holds namespaces to their quotas. Nothing is counted of a namespace without one.
 *
 * Bytes are counted as they become durable: appends under way at once may pass the quota by what they
 * bring.
 */
export class Quotas {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #clock: Clock;
  readonly #quotaOf: QuotaOf;
  readonly #books = new Map<string, Book>();

  constructor(args: {
    store: Store;
    cells: SessionCells;
    clock: Clock;
    /** Default: no namespace has a quota. */
    quotaOf?: QuotaOf | undefined;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#clock = args.clock;
    this.#quotaOf = args.quotaOf ?? (() => undefined);
    args.store.onCommit((committed) => {
      this.#books.get(committed.change.key.namespace)?.ledger.note(committed);
    });
  }

  /** Namespaces that are counted now. */
  get size(): number {
    return this.#books.size;
  }

  /**
   * Runs a decision that may make a session active or its log longer. When the namespace is full and
   * its quota says so, the decision is made anew, in turn, after the longest idle session was expired;
   * not the one that is spared, the parent of a child that is made.
   *
   * Errors: SessionQuotaExceededError, NamespaceFullError, and those of `decide`.
   */
  async within<T>(
    { namespace, spare }: SessionName & { readonly spare?: string },
    decide: (admit: Admit) => Promise<T>,
  ): Promise<T> {
    const quota = this.#quotaOf(namespace);
    if (quota === undefined) return decide(admitAll);
    const book = this.#open(namespace, quota);
    const admission = new Admission(book.ledger);
    const admit: Admit = (before, after) => {
      checkBytes(book.ledger, quota, before, after);
      this.#checkSessions(quota, admission, before, after);
    };
    try {
      await book.filled;
      return await decide(admit);
    } catch (error) {
      const isFull = error instanceof SessionQuotaExceededError;
      if (!isFull || quota.whenFull === "refuse") throw error;
      return await inTurn(book, async () => {
        try {
          return await decide(admit);
        } catch (full) {
          if (!(full instanceof SessionQuotaExceededError)) throw full;
          await this.#makeRoom({ namespace, spare, quota, admission, full });
          return await decide(admit);
        }
      });
    } finally {
      admission.close();
      this.#close(namespace, book);
    }
  }

  /**
   * Looks whether a new session would have room, and changes nothing; one for which the longest idle
   * session would be expired is not refused. Errors: SessionQuotaExceededError, NamespaceFullError.
   */
  async check(name: SessionName, after: StoredSession): Promise<void> {
    const { namespace } = name;
    const quota = this.#quotaOf(namespace);
    if (quota === undefined) return;
    const book = this.#open(namespace, quota);
    const admission = new Admission(book.ledger);
    try {
      await book.filled;
      checkBytes(book.ledger, quota, undefined, after);
      if (quota.whenFull === "refuse") this.#checkSessions(quota, admission, undefined, after);
    } finally {
      admission.close();
      this.#close(namespace, book);
    }
  }

  #checkSessions(
    { activeSessions: limit }: Quota,
    admission: Admission,
    before: StoredSession | undefined,
    after: StoredSession,
  ): void {
    const nowMs = this.#clock();
    const wasActive = before !== undefined && !hasEnded(asOf(before, nowMs));
    if (limit === undefined || wasActive || hasEnded(after)) return;
    const { namespace, uid } = after.session;
    const activeSessions = admission.enter(uid, limit, nowMs);
    if (activeSessions === undefined) return;
    throw new SessionQuotaExceededError({ namespace, activeSessions, limitSessions: limit });
  }

  /** Expires the longest idle sessions until there is room. Errors: `full` when that is not enough. */
  async #makeRoom(args: {
    namespace: string;
    /** Id of a session that is not expired. */
    spare: string | undefined;
    quota: Quota;
    admission: Admission;
    full: SessionQuotaExceededError;
  }): Promise<void> {
    const { namespace, spare, quota, admission, full } = args;
    const { activeSessions: limit = 0, minIdleMs } = quota;
    const { ledger } = admission;
    const nowMs = this.#clock();
    const sinceMs = nowMs - minIdleMs;
    // A session that could not be ended stays where it is, and the walk goes on behind it.
    for (const { sessionId, lastActivityMs } of ledger.longestIdle(nowMs)) {
      if (ledger.countActive(nowMs) < limit || lastActivityMs > sinceMs) break;
      if (sessionId !== spare) await this.#expire({ namespace, sessionId }, sinceMs);
    }
    if (ledger.countActive(nowMs) >= limit) throw full;
    admission.reserve();
  }

  /** Ends a session that had no event since `sinceMs`, also in commits under way. */
  async #expire(name: SessionName, sinceMs: number): Promise<void> {
    try {
      await this.#cells.use(name, async (cell) => {
        const { latest } = cell;
        const lastActivity = latest?.head.lastActivityTime;
        if (latest === undefined || lastActivity === undefined) return;
        if (timestampMs(lastActivity) > sinceMs) return;
        const end = create(SessionEndSchema, {
          reason: "idle, and the namespace's quota was full",
        });
        const outcome = endSession(latest, { state: SessionState.EXPIRED, end }, this.#clock());
        if (outcome !== undefined) await cell.commit(outcome);
      });
    } catch (error) {
      // A damaged session is passed over, or nobody could create one any more.
      if (!(error instanceof DataLossError)) throw error;
    }
  }

  #open(namespace: string, quota: Quota): Book {
    const known = this.#books.get(namespace);
    if (known !== undefined) {
      known.users++;
      return known;
    }
    const ledger = new Ledger();
    const from = { store: this.#store, cells: this.#cells, namespace, nowMs: this.#clock() };
    const filled = readSessions({ ...quota, ...from, take: (stored) => ledger.fill(stored) });
    const book = {
      ledger,
      filled: filled.then(() => ledger.filled()),
      users: 1,
      turn: Promise.resolve(),
    };
    this.#books.set(namespace, book);
    // A store that fails to read is asked again by the next call.
    book.filled.catch(() => this.#books.delete(namespace));
    return book;
  }

  /** A namespace that has nothing needs no book, or every name somebody tries would leave one. */
  #close(namespace: string, book: Book): void {
    book.users--;
    const isOver = book.users === 0 && book.ledger.isEmpty;
    if (isOver && this.#books.get(namespace) === book) this.#books.delete(namespace);
  }
}

/** Runs after those before it, whatever became of them. */
function inTurn<T>(book: Book, run: () => Promise<T>): Promise<T> {
  const turn = book.turn.then(run);
  book.turn = turn.catch(() => {});
  return turn;
}

function checkBytes(
  ledger: Ledger,
  { storedBytes: limit }: Quota,
  before: StoredSession | undefined,
  after: StoredSession,
): void {
  if (limit === undefined) return;
  // A session that takes the name of another leaves that one's log where it is.
  const isSame = before?.session.uid === after.session.uid;
  const growth = ownBytes(after) - (isSame ? ownBytes(before) : 0);
  if (growth <= 0 || ledger.storedBytes + growth <= limit) return;
  throw new NamespaceFullError({
    namespace: after.session.namespace,
    storedBytes: ledger.storedBytes,
    limitBytes: limit,
  });
}
