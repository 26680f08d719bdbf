import { create } from "@bufbuild/protobuf";
import {
  type EventBatch,
  EventBatchSchema,
  type SessionDeleted,
  SessionDeletedSchema,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "@sessiond/contract";
import type { CursorCodec } from "../../cursor.ts";
import { HistoryGoneError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { uidText } from "../../store/keys.ts";
import type { Store } from "../../store/store.ts";
import type { Channel, Step, TailCommit } from "./channel.ts";
import { type Feed, takeCommits } from "./session-feed.ts";

interface Log {
  readonly store: Store;
  readonly channel: Channel;
  readonly cursor: CursorCodec;
  readonly namespace: string;
}

/** The events of all sessions of a namespace, by the offsets of their commits. */
export function namespaceFeed({ store, channel, cursor, namespace }: Log): Feed {
  const step = (place: number, message?: WatchEventsResponse["message"]): Step => {
    if (message === undefined) return { place };
    const { encode } = cursor;
    return {
      place,
      message: create(WatchEventsResponseSchema, { cursor: encode(place), message }),
    };
  };

  return {
    channel,
    cursor,
    read: (place) => channel.step(place, fromTail) ?? readStored(place),
  };

  function fromTail(commits: readonly TailCommit[]): Step {
    const [head] = commits;
    if (head === undefined) throw new Error("a tail gives at least one commit");
    const { sessionId, uid, deleted } = head;
    if (deleted !== undefined) {
      return step(head.last, deletion({ sessionId, sessionUid: uid, ...deleted }));
    }
    const taken = takeCommits(run(commits, (commit) => commit.uid === uid && !commit.deleted));
    const events = taken.flatMap((commit) => commit.events);
    return step(taken.at(-1)?.last ?? head.last, batch({ sessionId, sessionUid: uid, events }));
  }

  async function readStored(place: number): Promise<Step> {
    const entries = await store.readNamespaceLog({
      namespace,
      afterOffset: place,
      limit: limits.watchBatchEvents,
    });
    const [head] = entries;
    if (head?.offset !== place + 1) {
      throw new HistoryGoneError(`the log of namespace "${namespace}" behind ${place} is gone`);
    }
    const { sessionId, deleted, firstRevision, lastRevision } = head.entry;
    const uid = uidText(head.entry.sessionUid);
    if (deleted) {
      return step(
        head.offset,
        deletion({ sessionId, sessionUid: uid, firstRevision, lastRevision }),
      );
    }
    const same = run(
      entries,
      ({ offset, entry }) =>
        offset <= channel.place && !entry.deleted && uidText(entry.sessionUid) === uid,
    );
    const events = await store.readEvents({
      uid,
      first: firstRevision,
      last: same.at(-1)?.entry.lastRevision ?? lastRevision,
      maxEvents: limits.watchBatchEvents,
      maxBytes: limits.watchBatchBytes,
      wholeBatches: true,
    });
    const covered = same.findLast(({ entry }) => entry.lastRevision === events.at(-1)?.revision);
    // The log of a session that was deleted since may be freed in part: its deletion follows.
    if (events[0]?.revision !== firstRevision || covered === undefined) return step(head.offset);
    return step(covered.offset, batch({ sessionId, sessionUid: uid, events }));
  }
}

function batch(value: Omit<EventBatch, "$typeName">): WatchEventsResponse["message"] {
  return { case: "events", value: create(EventBatchSchema, value) };
}

function deletion(value: Omit<SessionDeleted, "$typeName">): WatchEventsResponse["message"] {
  return { case: "sessionDeleted", value: create(SessionDeletedSchema, value) };
}

/** The entries from the first on for which the condition holds without a break. */
function run<T>(entries: readonly T[], holds: (entry: T) => boolean): readonly T[] {
  const end = entries.findIndex((entry) => !holds(entry));
  return end === -1 ? entries : entries.slice(0, end);
}
