import { create } from "@bufbuild/protobuf";
import {
  type Event,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "@sessiond/contract";
import type { CursorCodec } from "../../cursor.ts";
import { HistoryGoneError, SessionDeletedError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Store } from "../../store/store.ts";
import type { Channel, Step, TailCommit } from "./channel.ts";

/** Where the messages of a watch come from. */
export interface Feed {
  readonly channel: Channel;
  readonly cursor: CursorCodec;
  /**
   * The next step behind a place that is before the channel's.
   *
   * Errors: HistoryGoneError, SessionDeletedError, DataLossError.
   */
  read(place: number): Promise<Step> | Step;
}

interface Log {
  readonly store: Store;
  readonly channel: Channel;
  readonly cursor: CursorCodec;
  readonly sessionId: string;
  readonly uid: string;
}

/** The events of one session, by revision. */
export function sessionFeed({ store, channel, cursor, sessionId, uid }: Log): Feed {
  const message = (events: readonly Event[], place: number): WatchEventsResponse =>
    create(WatchEventsResponseSchema, {
      cursor: cursor.encode(place),
      message: { case: "events", value: { sessionId, sessionUid: uid, events: [...events] } },
    });

  return {
    channel,
    cursor,
    read(place) {
      const step = channel.step(place, (commits) => {
        const taken = takeCommits(commits);
        const last = taken.at(-1)?.last ?? place;
        return {
          place: last,
          message: message(
            taken.flatMap(({ events }) => events),
            last,
          ),
        };
      });
      return step ?? readStored(place);
    },
  };

  async function readStored(place: number): Promise<Step> {
    const events = await store.readEvents({
      uid,
      first: place + 1,
      last: channel.place,
      maxEvents: limits.watchBatchEvents,
      maxBytes: limits.watchBatchBytes,
      wholeBatches: true,
    });
    const last = events.at(-1)?.revision;
    if (events[0]?.revision !== place + 1 || last === undefined) {
      if (channel.isDeleted) throw new SessionDeletedError({ sessionId });
      throw new HistoryGoneError(
        `events of session "${sessionId}" behind revision ${place} are gone`,
      );
    }
    return { place: last, message: message(events, last) };
  }
}

/** As many commits, whole, as one message takes; at least one. */
export function takeCommits(commits: readonly TailCommit[]): readonly TailCommit[] {
  let events = 0;
  let bytes = 0;
  const end = commits.findIndex((commit) => {
    const isFirst = events === 0;
    events += commit.events.length;
    bytes += commit.bytes;
    return !isFirst && (events > limits.watchBatchEvents || bytes > limits.watchBatchBytes);
  });
  return end === -1 ? commits : commits.slice(0, end);
}
