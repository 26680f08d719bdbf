import { create } from "@bufbuild/protobuf";
import {
  EventBatchSchema,
  SessionDeletedSchema,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "@sessiond/contract";
import type { CursorCodec } from "../../cursor.ts";
import { HistoryGoneError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { uidText } from "../../store/keys.ts";
import type { Store } from "../../store/store.ts";
import type { Channel, Step } from "./channel.ts";
import type { Feed } from "./session-feed.ts";

interface Log {
  readonly store: Store;
  readonly channel: Channel;
  readonly cursor: CursorCodec;
  readonly namespace: string;
}

/** Commits looked at for one message; those of one session that follow each other travel together. */
const commitsPerStep = 16;

/** The events of all sessions of a namespace, by the offsets of their commits. */
export function namespaceFeed({ store, channel, cursor, namespace }: Log): Feed {
  return { channel, cursor, read: (place) => channel.step(place, () => read(place)) };

  async function read(place: number): Promise<Step> {
    const limit = Math.min(commitsPerStep, channel.place - place);
    const entries = await store.readNamespaceLog({ namespace, afterOffset: place, limit });
    const [head] = entries;
    if (head?.offset !== place + 1) {
      throw new HistoryGoneError(`the log of namespace "${namespace}" behind ${place} is gone`);
    }
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
    const events = await store.readEvents({
      uid: sessionUid,
      first: firstRevision,
      last: same.at(-1)?.entry.lastRevision ?? lastRevision,
      maxEvents: limits.watchBatchEvents,
      maxBytes: limits.watchBatchBytes,
      wholeBatches: true,
    });
    const covered = same.findLast(({ entry }) => entry.lastRevision === events.at(-1)?.revision);
    // The log of a session that was deleted since may be freed in part: its deletion follows.
    if (events[0]?.revision !== firstRevision || covered === undefined) {
      return { place: head.offset };
    }
    const value = create(EventBatchSchema, { sessionId, sessionUid, events });
    return step(covered.offset, { case: "events", value });
  }

  function step(place: number, message: WatchEventsResponse["message"]): Step {
    const at = cursor.encode(place);
    return { place, message: create(WatchEventsResponseSchema, { cursor: at, message }) };
  }
}
