import { create } from "@bufbuild/protobuf";
import {
  type Event,
  EventBatchSchema,
  EventsDamagedSchema,
  SessionDeletedSchema,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "@sessiond/contract";
import type { CursorCodec, CursorPlace } from "../../cursor.ts";
import { DataLossError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { sizeOf } from "../../store/encoded.ts";
import { uidText } from "../../store/keys.ts";
import type { Store } from "../../store/store.ts";
import type { Channel, Step } from "./channel.ts";
import type { NamespaceCommit, RecentCommits } from "./recent-commits.ts";
import { deletionsGone, type Feed } from "./session-feed.ts";

interface Log {
  readonly store: Store;
  readonly channel: Channel;
  readonly cursor: CursorCodec;
  readonly namespace: string;
  /** Where the newest commits may be had without reading. Absent: everything is read. */
  readonly recent?: RecentCommits | undefined;
}

/** Commits that were found, and how far the log was durable then. */
interface Found {
  readonly entries: readonly NamespaceCommit[];
  readonly end: number;
}

/** Commits looked at for one message; those of one session that follow each other travel together. */
const commitsPerStep = 16;

/**
 * The events of all sessions of a namespace, by the offsets of their commits. Commits of sessions that
 * were deleted since are passed over; their deletion follows.
 */
export function namespaceFeed({ store, channel, cursor, namespace, recent }: Log): Feed {
  let left: Found & { readonly after: number } = { after: 0, entries: [], end: 0 };
  return {
    channel,
    cursor,
    goneThrough: () => store.namespaceGoneThrough(namespace),
    read: (from) => channel.step(keyOf(from), () => read(from)),
  };

  async function read(from: CursorPlace): Promise<Step> {
    const found = await commitsBehind(from.place);
    // Read behind the entries: what they lack is known by then.
    if (store.namespaceGoneThrough(namespace) > from.knownThrough) {
      throw deletionsGone(from);
    }
    const { entries, end } = found;
    const [head] = entries;
    if (head === undefined) return { place: end, missed: end - from.place };
    // What is not in the log any more was of deleted sessions.
    const missed = head.offset - from.place - 1;
    const step = (place: number, message: WatchEventsResponse["message"]): Step => {
      const at = cursor.encode(place, from.knownThrough);
      return { place, message: create(WatchEventsResponseSchema, { cursor: at, message }), missed };
    };
    const { sessionId, deleted, firstRevision, lastRevision } = head.entry;
    const sessionUid = uidText(head.entry.sessionUid);
    if (deleted) {
      const value = { sessionId, sessionUid, firstRevision, lastRevision };
      const gone = create(SessionDeletedSchema, value);
      return step(head.offset, { case: "sessionDeleted", value: gone });
    }
    const others = entries.findIndex(
      ({ entry }) => entry.deleted || uidText(entry.sessionUid) !== sessionUid,
    );
    const same = others === -1 ? entries : entries.slice(0, others);
    const events = await readBatches(sessionUid, same);
    if (events === undefined) {
      const damaged = { sessionId, sessionUid, firstRevision, lastRevision };
      const value = create(EventsDamagedSchema, damaged);
      return step(head.offset, { case: "eventsDamaged", value });
    }
    const covered = same.findLast(({ entry }) => entry.lastRevision === events.at(-1)?.revision);
    // The log of a session that was deleted since may be freed in part: its deletion follows.
    if (events[0]?.revision !== firstRevision || covered === undefined) {
      return { place: head.offset, missed: missed + lastRevision - firstRevision + 1 };
    }
    const value = create(EventBatchSchema, { sessionId, sessionUid, events: [...events] });
    return step(covered.offset, { case: "events", value });
  }

  /**
   * Commits behind a place, and how far the log was durable when they were read. What the last step left
   * is not read again: where sessions take turns, a step has one commit of those that were found.
   */
  async function commitsBehind(place: number): Promise<Found> {
    const rest = left.entries.findIndex(({ offset }) => offset > place);
    if (place >= left.after && rest !== -1) {
      return { entries: left.entries.slice(rest), end: left.end };
    }
    const end = channel.place;
    const limit = commitsPerStep;
    const known = recent?.after({ namespace, place, end, limit }) ?? [];
    if (known.length > 0) {
      left = { after: place, entries: known, end };
      return left;
    }
    const found = await store.readNamespaceLog({ namespace, afterOffset: place, limit });
    // Those behind the end may not be on disk yet.
    const durable = found.filter(({ offset }) => offset <= end);
    const near = { namespace, place, end: Math.min(end, place + limit) };
    const entries = recent?.completed(durable, near) ?? durable;
    left = { after: place, entries, end };
    return left;
  }

  /** Events of commits that follow each other, if need be of the first alone; undefined: damaged. */
  async function readBatches(
    uid: string,
    commits: readonly NamespaceCommit[],
  ): Promise<readonly Event[] | undefined> {
    const known = eventsInMemory(commits);
    if (known.length > 0) return known;
    try {
      return await store.readEvents({
        uid,
        first: commits[0]?.entry.firstRevision ?? 1,
        last: commits.at(-1)?.entry.lastRevision ?? 0,
        maxEvents: limits.watchBatchEvents,
        maxBytes: limits.watchBatchBytes,
        wholeBatches: true,
      });
    } catch (error) {
      if (!(error instanceof DataLossError)) throw error;
      return commits.length > 1 ? readBatches(uid, commits.slice(0, 1)) : undefined;
    }
  }
}

/** Events of the first commits, as far as they are in memory and make one message. */
function eventsInMemory(commits: readonly NamespaceCommit[]): readonly Event[] {
  const all: Event[] = [];
  let bytes = 0;
  for (const { events } of commits) {
    if (events === undefined) break;
    bytes += events.reduce((sum, event) => sum + sizeOf(event), 0);
    const isTooMuch =
      all.length + events.length > limits.watchBatchEvents || bytes > limits.watchBatchBytes;
    if (all.length > 0 && isTooMuch) break;
    all.push(...events);
  }
  return all;
}

/** Tells apart readers that come to a place with different knowledge, as long as it matters. */
function keyOf({ place, knownThrough }: CursorPlace): number | string {
  return knownThrough > place ? `${place} ${knownThrough}` : place;
}
