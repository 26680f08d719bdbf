import { create } from "@bufbuild/protobuf";
import { type WatchEventsResponse, WatchEventsResponseSchema } from "@sessiond/contract";
import type { CursorPlace } from "../../cursor.ts";
import { SessionDeletedError, ShuttingDownError } from "../../errors.ts";
import type { EventFilter } from "../filter/event-filter-of.ts";
import { Turns } from "../turns.ts";
import type { Channel } from "./channel.ts";
import { lagBehind } from "./consumer-place.ts";
import type { OpenConsumer } from "./consumers.ts";
import { type ReaderStep, readStep, readStepOrGap } from "./gaps.ts";
import type { Feed } from "./session-feed.ts";
import { visibleOf } from "./visible-events.ts";
import { waitForWake } from "./wait.ts";

/** A watch under way. */
export interface Reader {
  readonly channel: Channel;
  readonly isOfSession: boolean;
  place: number;
}

/** What a watch does from its beginning on. */
export interface Following {
  readonly feed: Feed;
  readonly from: CursorPlace;
  readonly reader: Reader;
  /** Absent: nobody's place is kept. */
  readonly consumer?: OpenConsumer | undefined;
  /** Absent: every event is shown. */
  readonly passes?: EventFilter | undefined;
  /** Name of the session, for messages; empty for a namespace. */
  readonly sessionId: string;
  /** End when the session has ended and all of it was shown. */
  readonly untilEnded: boolean;
  /** End when all there is was shown. */
  readonly untilCurrent: boolean;
  /** Hears of events that were passed over, see `Step.missed`. */
  readonly onMissed?: ((events: number) => void) | undefined;
  readonly signal: AbortSignal;
  readonly shutdown: AbortSignal;
  readonly progressIntervalMs: number;
}

/** The messages of a watch behind its first one. Errors: as documented at the rpc. */
export async function* follow(following: Following): AsyncGenerator<WatchEventsResponse> {
  const { feed, reader, consumer, passes, signal, shutdown, progressIntervalMs } = following;
  const { channel } = feed;
  const lease = consumer?.lease.signal;
  const ending = lease === undefined ? signal : AbortSignal.any([signal, lease]);
  const turns = new Turns();
  let { place, knownThrough } = following.from;
  let [toldPlace, toldMs] = [place, performance.now()];
  let progressMs = Number.NEGATIVE_INFINITY;
  const told = () => {
    [toldPlace, toldMs] = [place, performance.now()];
    consumer?.touch();
  };
  const isTime = (sinceMs: number) => performance.now() - sinceMs >= progressIntervalMs;
  const progress = () => {
    progressMs = performance.now();
    return create(WatchEventsResponseSchema, {
      cursor: feed.cursor.encode(place, knownThrough),
      message: {
        case: "progress",
        value: {
          headRevision: reader.isOfSession ? channel.place : 0,
          lag: lagBehind(channel.place, { place }),
        },
      },
    });
  };
  while (!signal.aborted) {
    if (shutdown.aborted) throw new ShuttingDownError();
    if (lease?.aborted) throw lease.reason;
    if (place < channel.place) {
      const from = { place, knownThrough };
      let step: ReaderStep | undefined = await (consumer ? readStepOrGap : readStep)(feed, from);
      ({ place, knownThrough } = step);
      let { message } = step;
      if (step.missed) following.onMissed?.(step.missed);
      // Nothing here holds the message while its reader takes its time: the transport has bytes.
      step = undefined;
      if (passes !== undefined) {
        message &&= await visibleOf(message, passes, turns);
        if (message === undefined && isTime(toldMs)) message = progress();
      }
      const handover = message && new Handover(message);
      message = undefined;
      if (handover !== undefined) {
        yield handover.take();
        told();
      }
      reader.place = place;
      continue;
    }
    // Nothing waits between these looks at the channel and the wait, so no wake-up is missed.
    if (channel.isDeleted) throw new SessionDeletedError(following);
    if (following.untilEnded && channel.hasEnded) return;
    if (following.untilCurrent) {
      if (toldPlace < place) yield progress();
      return;
    }
    // What was hidden up to the end is told at once, but not each time that more of it comes.
    const isHidden = passes !== undefined && toldPlace < place && isTime(progressMs);
    const timeoutMs = isHidden ? 0 : progressIntervalMs;
    if ((await waitForWake(channel, { signal: ending, timeoutMs })) === "timeout") {
      yield progress();
      told();
    }
  }
}

/** Gives a message away once, so that who passed it on does not keep it alive. */
class Handover {
  #message: WatchEventsResponse | undefined;

  constructor(message: WatchEventsResponse) {
    this.#message = message;
  }

  take(): WatchEventsResponse {
    const message = this.#message;
    this.#message = undefined;
    if (message === undefined) throw new Error("the message was taken before");
    return message;
  }
}
