import type { SessionHead } from "@sessiond/contract/store";
import { limits } from "../../limits.ts";
import { placesOf, readLog } from "../../store/log.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { stateOf } from "../context/state.ts";
import { Turns } from "../turns.ts";
import { headAt } from "./replay.ts";
import { readVisible } from "./visible.ts";

/**
 * The head of a session at a revision, or at the newest one before it where no group is cut: none has
 * events at or before it and behind it. Errors: DataLossError.
 */
export async function headAtCut(
  store: Store,
  stored: StoredSession,
  revision: number,
): Promise<SessionHead> {
  for (let at = revision; ; ) {
    const head = await headAt(store, stored, at);
    const group = await continuedGroup(store, stored, head);
    if (group === undefined) return head;
    at = group - 1;
  }
}

/** Looks which groups of a head go on behind it, from the groups of the events there, in order. */
export class Continuation {
  readonly #waiting: ReadonlySet<number>;
  readonly #newest: number | undefined;
  #oldest: number | undefined;
  #isOver: boolean;

  constructor(head: SessionHead) {
    const { openCalls, newestGroup } = stateOf({ head });
    this.#waiting = new Set(openCalls.map(({ group }) => group));
    this.#newest = newestGroup?.complete === false ? newestGroup.firstRevision : undefined;
    this.#isOver = this.#waiting.size === 0 && this.#newest === undefined;
  }

  /** Nothing that comes can be of them any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** First revision of the oldest group that goes on. Undefined: none does. */
  get oldest(): number | undefined {
    return this.#oldest;
  }

  /** Takes the group of the next event. */
  take(group: number): void {
    if (group === 0) return;
    if (this.#waiting.has(group) || group === this.#newest) {
      this.#oldest = Math.min(this.#oldest ?? group, group);
    } else if (this.#waiting.size === 0) {
      // Without an open call a group goes on until another one begins.
      this.#isOver = true;
    }
  }
}

/** First revision of the oldest group that the log goes on with behind a head. Undefined: of none. */
async function continuedGroup(
  store: Store,
  stored: StoredSession,
  head: SessionHead,
): Promise<number | undefined> {
  const continuation = new Continuation(head);
  const turns = new Turns();
  for (let next = head.revision + 1; next <= stored.head.revision && !continuation.isOver; ) {
    const events = await readLog(store, {
      log: placesOf(stored),
      first: next,
      last: stored.head.revision,
      maxEvents: limits.watchBatchEvents,
      maxBytes: limits.pageBytes,
    });
    for (const { group } of events) continuation.take(group);
    if (events.length === 0) break;
    next += events.length;
    await turns.yield();
  }
  return continuation.oldest;
}

/**
 * The revision in front of the newest groups of a session; in front of all of them where there are
 * fewer. Errors: DataLossError.
 */
export async function beforeGroups(
  store: Store,
  stored: StoredSession,
  count: number,
): Promise<number> {
  const { hidden } = stateOf(stored);
  const turns = new Turns();
  let left = count;
  let oldest = stored.head.revision + 1;
  for (let last = stored.head.revision; last >= 1 && left > 0; ) {
    const { events, next } = await readVisible(store, {
      log: placesOf(stored),
      hidden,
      first: 1,
      last,
      reverse: true,
      maxEvents: limits.watchBatchEvents,
      maxBytes: limits.pageBytes,
    });
    for (const { group, revision } of events) {
      if (group !== revision) continue;
      oldest = revision;
      left--;
      if (left === 0) break;
    }
    last = next;
    await turns.yield();
  }
  return oldest - 1;
}
