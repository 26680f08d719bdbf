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

/** First revision of the oldest group that the log goes on with behind a head. Undefined: of none. */
async function continuedGroup(
  store: Store,
  stored: StoredSession,
  head: SessionHead,
): Promise<number | undefined> {
  const { openCalls, newestGroup } = stateOf({ head });
  const groups = new Set(openCalls.map(({ group }) => group));
  // Without an open call it can only go on until another group begins.
  const growing = newestGroup?.complete === false ? newestGroup.firstRevision : undefined;
  const turns = new Turns();
  let oldest: number | undefined;
  for (let next = head.revision + 1; next <= stored.head.revision; ) {
    const events = await readLog(store, {
      log: placesOf(stored),
      first: next,
      last: stored.head.revision,
      maxEvents: limits.watchBatchEvents,
      maxBytes: limits.pageBytes,
    });
    for (const { group } of events) {
      if (group === 0) continue;
      if (groups.has(group) || group === growing) oldest = Math.min(oldest ?? group, group);
      else if (groups.size === 0) return oldest;
    }
    if (events.length === 0) break;
    next += events.length;
    await turns.yield();
  }
  return oldest;
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
