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
import { Ledger } from "./ledger.ts";
import type { Quota, QuotaOf } from "./quota.ts";
import { readLedger } from "./read-ledger.ts";

/**
 * Says whether a decision keeps to the quota of its namespace. To be called in the same turn of the
 * event loop as the decision and its commit.
 *
 * Errors: SessionQuotaExceededError, NamespaceFullError.
 */
export type Admit = (before: StoredSession | undefined, after: StoredSession) => void;

const admitAll: Admit = () => {};

/** What is counted of one namespace. */
interface Book {
  readonly ledger: Ledger;
  readonly filled: Promise<void>;
  /** Those who make room do so one after another, lest each of them expires a session for the same place. */
  turn: Promise<void>;
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

  /**
   * Runs a decision that may make a session active or its log longer. When the namespace is full and
   * its quota says so, the longest idle session is expired, and the decision made a second time.
   *
   * Errors: SessionQuotaExceededError, NamespaceFullError, and those of `decide`.
   */
  async within<T>(name: SessionName, decide: (admit: Admit) => Promise<T>): Promise<T> {
    const quota = this.#quotaOf(name.namespace);
    if (quota === undefined) return decide(admitAll);
    const book = await this.#book(name.namespace, quota);
    const { ledger } = book;
    const place = new Place(ledger, name.sessionId);
    const admit: Admit = (before, after) => {
      checkBytes(ledger, quota, before, after);
      this.#checkSessions(ledger, quota, place, before, after);
    };
    try {
      return await decide(admit);
    } catch (error) {
      const isFull = error instanceof SessionQuotaExceededError;
      if (!isFull || quota.whenFull === "refuse") throw error;
      await inTurn(book, () => this.#makeRoom(ledger, quota, place, error));
      return await decide(admit);
    } finally {
      place.release();
    }
  }

  #checkSessions(
    ledger: Ledger,
    { activeSessions: limit }: Quota,
    place: Place,
    before: StoredSession | undefined,
    after: StoredSession,
  ): void {
    const nowMs = this.#clock();
    const wasActive = before !== undefined && !hasEnded(asOf(before, nowMs));
    if (limit === undefined || wasActive || hasEnded(after) || place.isHeld) return;
    if (!ledger.hasRoom(limit, nowMs)) {
      throw new SessionQuotaExceededError({
        namespace: after.session.namespace,
        activeSessions: ledger.countActive(nowMs),
        limitSessions: limit,
      });
    }
    place.take();
  }

  /** Expires the longest idle sessions until there is a place. Errors: `full` when that is not enough. */
  async #makeRoom(
    ledger: Ledger,
    { activeSessions: limit = 0, minIdleMs }: Quota,
    place: Place,
    full: SessionQuotaExceededError,
  ): Promise<void> {
    const { namespace = "" } = full.details;
    const nowMs = this.#clock();
    for (const { sessionId, lastActivityMs } of ledger.longestIdle(nowMs)) {
      if (ledger.hasRoom(limit, nowMs) || nowMs - lastActivityMs < minIdleMs) break;
      await this.#expire({ namespace, sessionId }, nowMs - minIdleMs);
    }
    if (!ledger.hasRoom(limit, nowMs)) throw full;
    place.take();
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

  async #book(namespace: string, quota: Quota): Promise<Book> {
    let book = this.#books.get(namespace);
    if (book === undefined) {
      const ledger = new Ledger();
      const nowMs = this.#clock();
      const from = { store: this.#store, cells: this.#cells, namespace, nowMs };
      const sessions = readLedger({ ...quota, ...from });
      const filled = sessions.then((found) => ledger.fill(found));
      book = { ledger, filled, turn: Promise.resolve() };
      this.#books.set(namespace, book);
      // A store that fails to read is asked again by the next call.
      filled.catch(() => this.#books.delete(namespace));
    }
    await book.filled;
    return book;
  }
}

/** Runs after those before it, whatever became of them. */
async function inTurn(book: Book, run: () => Promise<void>): Promise<void> {
  const turn = book.turn.then(run);
  book.turn = turn.catch(() => {});
  await turn;
}

/** The place of one call in a ledger; a commit that fills it takes it out there. */
class Place {
  readonly #ledger: Ledger;
  readonly #sessionId: string;
  isHeld = false;

  constructor(ledger: Ledger, sessionId: string) {
    this.#ledger = ledger;
    this.#sessionId = sessionId;
  }

  take(): void {
    this.isHeld = true;
    this.#ledger.takePlace(this.#sessionId);
  }

  release(): void {
    if (this.isHeld) this.#ledger.release(this.#sessionId);
  }
}

function checkBytes(
  ledger: Ledger,
  { storedBytes: limit }: Quota,
  before: StoredSession | undefined,
  after: StoredSession,
): void {
  if (limit === undefined) return;
  const growth = bytesOf(after) - bytesOf(before);
  if (growth <= 0 || ledger.storedBytes + growth <= limit) return;
  throw new NamespaceFullError({
    namespace: after.session.namespace,
    storedBytes: ledger.storedBytes,
    limitBytes: limit,
  });
}

function bytesOf(stored: StoredSession | undefined): number {
  return stored?.head.metrics?.storedBytes ?? 0;
}
