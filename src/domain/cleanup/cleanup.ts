import { create, toBinary } from "@bufbuild/protobuf";
import {
  CleanupAction,
  type CleanupMatch,
  CleanupMatchSchema,
  type CleanupSessionsRequest,
  CleanupSessionsRequestSchema,
  type CleanupSessionsResponse,
  CleanupSessionsResponseSchema,
  SessionEndSchema,
  SessionState,
} from "@sessiond/contract";
import { decodePageToken, encodePageToken, scopeOf } from "../../cursor.ts";
import { DataLossError, FilterFailedError, ShuttingDownError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import type { Change, Store, StoredSession } from "../../store/store.ts";
import { visitDescendants } from "../children/descendants.ts";
import type { Removals } from "../children/removals.ts";
import { endSession } from "../lifecycle/end.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { hasEnded } from "../lifecycle/states.ts";
import { namespaceOf } from "../names.ts";
import { paced } from "../pace.ts";
import type { SessionCells, SessionName } from "../session-cells.ts";
import { walk, walkChunk } from "../session-walk.ts";
import { Turns } from "../turns.ts";
import { validate } from "../validation/validate.ts";
import { type CleanupPlace, listsFor, parsePlace, placeText } from "./cleanup-walk.ts";
import { type Criteria, criteriaOf } from "./criteria.ts";

/** A session that matched when its page was read. */
interface Found {
  readonly name: SessionName;
  readonly uid: string;
  readonly match: CleanupMatch;
}

/** What one call is about. */
interface Work {
  readonly namespace: string;
  readonly action: CleanupAction;
  readonly criteria: Criteria;
  readonly pageSize: number;
}

/**
 * Ends or deletes sessions by criteria, a page at a time.
 *
 * 1. Look: reads a page of sessions and tells which match. A filter that fails ends the call here.
 * 2. Act: changes those, a few at a time, each if it still matches.
 */
export class Cleanup {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #removals: Removals;
  readonly #clock: Clock;
  readonly #shutdown: AbortSignal;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    removals: Removals;
    clock: Clock;
    shutdown: AbortSignal;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#removals = args.removals;
    this.#clock = args.clock;
    this.#shutdown = args.shutdown;
  }

  /** Errors: as documented at the rpc. */
  async cleanup(request: CleanupSessionsRequest): Promise<CleanupSessionsResponse> {
    validate(CleanupSessionsRequestSchema, request);
    const { pageToken, pageSize, dryRun } = request;
    const work: Work = {
      namespace: namespaceOf(request.namespace),
      action: request.action || CleanupAction.EXPIRE,
      criteria: await criteriaOf(request),
      pageSize: Math.min(pageSize || limits.defaultCleanupPageSize, limits.cleanupPageSize),
    };
    const scope = this.#scopeOf(request, work);
    const place =
      pageToken === ""
        ? { startMs: this.#clock(), list: 0 }
        : parsePlace(decodePageToken(scope, pageToken), listsFor(work.action).length);
    const answer = create(CleanupSessionsResponseSchema);
    const { found, next } = await this.#look(work, place, answer);
    answer.matched = found.length;
    answer.sessions = found.map(({ match }) => match);
    if (next !== undefined) answer.nextPageToken = encodePageToken(scope, placeText(next));
    if (!dryRun) await this.#act(work, found, answer);
    else if (work.action === CleanupAction.DELETE) answer.childCount = await this.#count(found);
    return answer;
  }

  async #look(
    { namespace, action, criteria, pageSize }: Work,
    place: CleanupPlace,
    answer: CleanupSessionsResponse,
  ): Promise<{ found: Found[]; next: CleanupPlace | undefined }> {
    const lists = listsFor(action);
    const found: Found[] = [];
    const turns = new Turns();
    const nowMs = this.#clock();
    const newestMs = Math.min(place.startMs, nowMs - criteria.minAgeMs);
    const onLeftOut = () => {
      answer.failed += 1;
    };
    let next: CleanupPlace | undefined = place;
    // At least one session, however slow the machine is: a page that ends where it began never ends.
    while (
      next !== undefined &&
      answer.scanned < pageSize &&
      !(turns.isSpent && answer.scanned > 0)
    ) {
      const { list, after }: CleanupPlace = next;
      const index = lists[list];
      if (index === undefined) return { found, next: undefined };
      const limit = Math.min(walkChunk, pageSize - answer.scanned);
      const query = { namespace, index, limit, onLeftOut, ...(after && { after }) };
      const seen = await walk({ store: this.#store, cells: this.#cells, query, nowMs });
      let isOver = seen.length < limit;
      for (const [number, { position, current }] of seen.entries()) {
        if (position.createTimeMs > newestMs) {
          isOver = true;
          break;
        }
        answer.scanned += 1;
        next = { ...next, after: position };
        const why = current && this.#why({ action, criteria }, current, nowMs);
        if (current !== undefined && why !== undefined) {
          const { sessionId, uid } = current.session;
          const match = create(CleanupMatchSchema, { sessionId, why });
          found.push({ name: { namespace, sessionId }, uid, match });
        }
        await turns.yield();
        if (turns.isSpent && number + 1 < seen.length) {
          isOver = false;
          break;
        }
      }
      if (isOver) {
        next = list + 1 < lists.length ? { startMs: place.startMs, list: list + 1 } : undefined;
      }
    }
    return { found, next };
  }

  async #act(work: Work, found: readonly Found[], answer: CleanupSessionsResponse): Promise<void> {
    const byUid = new Map(found.map((one) => [one.uid, one]));
    const noteGone = (match: CleanupMatch) => {
      if (!match.changed) answer.changed += 1;
      match.changed = true;
    };
    const onChild = ({ session }: StoredSession) => {
      // One that matched itself, and goes with its parent before its own turn has come.
      const one = byUid.get(session.uid);
      if (one === undefined) answer.childCount += 1;
      else noteGone(one.match);
    };
    await paced(found, async (one) => {
      if (this.#shutdown.aborted) throw new ShuttingDownError();
      try {
        if (await this.#change(work, one, onChild)) noteGone(one.match);
      } catch (error) {
        // What others were changed by stays; this one is as it was.
        if (!(error instanceof DataLossError || error instanceof FilterFailedError)) throw error;
        answer.failed += 1;
      }
    });
  }

  /** Changes a session if it still matches. */
  #change(
    work: Work,
    { name, uid }: Found,
    onChild: (child: StoredSession) => void,
  ): Promise<boolean> {
    return this.#cells.use(name, async (cell) => {
      const before = cell.latest;
      if (before === undefined || before.session.uid !== uid) return false;
      const nowMs = this.#clock();
      const why = this.#why(work, asOf(before, nowMs), nowMs);
      if (why === undefined) return false;
      if (work.action === CleanupAction.DELETE) {
        const isWanted = (latest: StoredSession) =>
          latest.session.uid === uid && this.#stillMatches(work, latest);
        return this.#removals.remove(cell, { isWanted, onChild });
      }
      const change = changeOf(work.action, before, why, nowMs);
      if (change === undefined) return false;
      await cell.commit(change);
      return true;
    });
  }

  #stillMatches(work: Work, latest: StoredSession): boolean {
    const nowMs = this.#clock();
    return this.#why(work, asOf(latest, nowMs), nowMs) !== undefined;
  }

  /** How many sessions would go as children, beside those that match. */
  async #count(found: readonly Found[]): Promise<number> {
    const matched = new Set(found.map(({ uid }) => uid));
    let count = 0;
    const visit = ({ session }: StoredSession) => {
      if (matched.has(session.uid)) return false;
      count += 1;
      return true;
    };
    const options = { visit, turns: new Turns() };
    for (const { name, uid } of found) {
      await visitDescendants(this.#store, { ...name, uid }, options);
    }
    return count;
  }

  #why(
    { action, criteria }: Pick<Work, "action" | "criteria">,
    current: StoredSession,
    nowMs: number,
  ): string | undefined {
    if (action !== CleanupAction.DELETE && hasEnded(current)) return undefined;
    return criteria.why(current, nowMs);
  }

  #scopeOf(request: CleanupSessionsRequest, { namespace, action }: Work): Uint8Array {
    const query = { ...request, namespace, action, pageSize: 0, pageToken: "" };
    return scopeOf(
      this.#store.capabilities.storeId,
      "cleanup",
      toBinary(CleanupSessionsRequestSchema, query),
    );
  }
}

/** What is done to a session that matches; undefined: it has ended before. */
function changeOf(
  action: Exclude<CleanupAction, CleanupAction.DELETE>,
  before: StoredSession,
  why: string,
  nowMs: number,
): Omit<Change, "key" | "before"> | undefined {
  const reason = `cleanup: ${why}`;
  switch (action) {
    case CleanupAction.FAIL: {
      const end = create(SessionEndSchema, { reason, errorCode: "cleanup", errorMessage: why });
      return endSession(before, { state: SessionState.FAILED, end }, nowMs);
    }
    default: {
      const end = create(SessionEndSchema, { reason });
      return endSession(before, { state: SessionState.EXPIRED, end }, nowMs);
    }
  }
}
