import { type CallOptions, toConnectOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";
import { toDuration } from "./duration.ts";
import { type CleanupActionWord, cleanupActions } from "./words.ts";

/**
 * Which sessions a cleanup is about; all that are given must match. Without any of the first four
 * those match that have been idle for 30 minutes.
 */
export interface CleanupOptions extends CallOptions {
  /** Without a new event for this long, or longer. */
  readonly idleMs?: number | undefined;
  /** Created this long ago, or longer. */
  readonly ageMs?: number | undefined;
  /** More than this share of its requests failed, 0 to 1. */
  readonly minErrorRate?: number | undefined;
  /** An expression in CEL over `session`, for example `session.labels.tier == "trial"`. */
  readonly filter?: string | undefined;
  /** Requests a session must have for `minErrorRate` to tell. Default 1. */
  readonly minRequests?: number | undefined;
  /**
   * What becomes of them: "expire" and "fail" end those that have not ended, "delete" removes also
   * ended ones. Default "expire".
   */
  readonly action?: CleanupActionWord | undefined;
  /** Find and count them, change nothing. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Sessions looked at in one call, up to 5,000. Default 1,000. `timeoutMs` is that of a call. */
  readonly pageSize?: number | undefined;
  /** Called after each page with the counts so far. */
  readonly onProgress?: ((progress: CleanupProgress) => void) | undefined;
}

/** What a cleanup did. */
export interface CleanupTotals {
  /** Sessions looked at. */
  readonly scanned: number;
  /** Sessions that matched. */
  readonly matched: number;
  /**
   * Sessions that were ended or deleted; 0 in a dry run. A page whose answer was lost and that was
   * repeated counts what was left then.
   */
  readonly changed: number;
  /** Sessions that could not be read, and were left alone. */
  readonly failed: number;
  /**
   * With "delete": children that went with them, beside those that matched themselves; in a dry run those
   * that would. Of a child on a later page a dry run counts both.
   */
  readonly childCount: number;
}

/** How far a cleanup is. */
export interface CleanupProgress extends CleanupTotals {
  /** A filter is tried on all sessions before anything is changed. */
  readonly phase: "checking" | "changing";
  /** Sessions there are to look at, once they were checked. */
  readonly total: number | undefined;
}

/** A session that matched. */
export interface CleanupMatch {
  readonly sessionId: string;
  /** Why, in words. */
  readonly why: string;
  /** It was ended or deleted. False in a dry run, and if it did not match any more in the end. */
  readonly changed: boolean;
}

interface CleanupPage {
  /** Of all pages so far. */
  readonly totals: CleanupTotals;
  readonly matches: readonly CleanupMatch[];
}

/**
 * A cleanup of many sessions: awaited its totals, iterated the sessions that match, page by page.
 *
 * Nothing is done before it is awaited or iterated; do one of them. An iteration that is left early
 * does no further page. A cleanup begun anew finds what is left.
 */
export class Cleanup implements PromiseLike<CleanupTotals>, AsyncIterable<CleanupMatch> {
  readonly #context: ClientContext;
  readonly #options: CleanupOptions;

  constructor(context: ClientContext, options: CleanupOptions) {
    this.#context = context;
    this.#options = options;
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaitable is what this class is for.
  then<A = CleanupTotals, B = never>(
    onTotals?: ((totals: CleanupTotals) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#totals().then(onTotals, onError);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CleanupMatch, void, undefined> {
    for await (const { matches } of this.#run()) yield* matches;
  }

  async #totals(): Promise<CleanupTotals> {
    let totals: CleanupTotals = { scanned: 0, matched: 0, changed: 0, failed: 0, childCount: 0 };
    for await (const page of this.#run()) totals = page.totals;
    return totals;
  }

  async *#run(): AsyncGenerator<CleanupPage> {
    const { filter = "", dryRun = false } = this.#options;
    let total: number | undefined;
    if (filter !== "" && !dryRun) {
      // A filter that fails on a session of a later page must leave those before alone, too.
      for await (const { totals } of this.#pages({ phase: "checking", dryRun: true })) {
        total = totals.scanned;
      }
    }
    yield* this.#pages({ phase: "changing", dryRun, total });
  }

  async *#pages(args: {
    phase: CleanupProgress["phase"];
    dryRun: boolean;
    total?: number | undefined;
  }): AsyncGenerator<CleanupPage> {
    const { phase, dryRun, total } = args;
    const { namespace, clients } = this.#context;
    const { idleMs, ageMs, minErrorRate, filter = "", minRequests = 0 } = this.#options;
    const { action = "expire", pageSize = 0, onProgress } = this.#options;
    const request = {
      namespace,
      filter,
      minRequests,
      action: cleanupActions[action],
      dryRun,
      pageSize,
      ...(idleMs === undefined ? {} : { idle: toDuration("idleMs", idleMs) }),
      ...(ageMs === undefined ? {} : { age: toDuration("ageMs", ageMs) }),
      ...(minErrorRate === undefined ? {} : { minErrorRate }),
    };
    const totals = { scanned: 0, matched: 0, changed: 0, failed: 0, childCount: 0 };
    let pageToken = "";
    do {
      const call = clients.sessions.cleanupSessions(
        { ...request, pageToken },
        toConnectOptions(this.#options),
      );
      const page = await translated(call);
      totals.scanned += page.scanned;
      totals.matched += page.matched;
      totals.changed += page.changed;
      totals.failed += page.failed;
      totals.childCount += page.childCount;
      onProgress?.({ ...totals, phase, total });
      const matches = page.sessions.map(({ sessionId, why, changed }) => ({
        sessionId,
        why,
        changed,
      }));
      yield { totals: { ...totals }, matches };
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }
}
