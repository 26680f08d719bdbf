import { create } from "@bufbuild/protobuf";
import { WatchEventsResponseSchema } from "@sessiond/contract";
import type { CursorCodec, CursorPlace } from "../../cursor.ts";
import { HistoryGoneError, SessionDeletedError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { type LogPlaces, readLog } from "../../store/log.ts";
import type { Store } from "../../store/store.ts";
import type { Channel, Step } from "./channel.ts";

/** Where the messages of a watch come from. */
export interface Feed {
  readonly channel: Channel;
  readonly cursor: CursorCodec;
  /** Place up to which deletions are told no more; 0 for none. Errors: DataLossError. */
  goneThrough(): number;
  /**
   * The next step behind a place that is before the channel's.
   *
   * Errors: HistoryGoneError, SessionDeletedError, DataLossError.
   */
  read(from: CursorPlace): Promise<Step>;
}

/** The error of a reader that may have missed deletions. */
export function deletionsGone({ knownThrough }: CursorPlace): HistoryGoneError {
  return new HistoryGoneError(
    `sessions were deleted behind ${knownThrough} so long ago that it is told no more`,
  );
}

interface Log {
  readonly store: Store;
  readonly channel: Channel;
  readonly cursor: CursorCodec;
  readonly sessionId: string;
  readonly log: LogPlaces;
}

/** The events of one session, by revision. */
export function sessionFeed({ store, channel, cursor, sessionId, log }: Log): Feed {
  return {
    channel,
    cursor,
    goneThrough: () => 0,
    read: ({ place }) => channel.step(place, () => read(place)),
  };

  async function read(place: number): Promise<Step> {
    const events = await readLog(store, {
      log,
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
    const message = create(WatchEventsResponseSchema, {
      cursor: cursor.encode(last),
      message: { case: "events", value: { sessionId, sessionUid: log.uid, events } },
    });
    return { place: last, message };
  }
}
