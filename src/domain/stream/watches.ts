import { create } from "@bufbuild/protobuf";
import {
  type WatchEventsRequest,
  WatchEventsRequestSchema,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
  WatchStart,
} from "@sessiond/contract";
import { type CursorPlace, cursorCodec, scopeOf } from "../../cursor.ts";
import {
  CursorInvalidError,
  InvalidFieldError,
  SessionDeletedError,
  ShuttingDownError,
  TooManyWatchesError,
} from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import { placesOf } from "../../store/log.ts";
import type { Store } from "../../store/store.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { namespaceOf } from "../names.ts";
import type { SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import type { Channel, Step } from "./channel.ts";
import type { Hub } from "./hub.ts";
import { namespaceFeed } from "./namespace-feed.ts";
import { deletionsGone, type Feed, sessionFeed } from "./session-feed.ts";
import { waitForWake } from "./wait.ts";

/** A watch that is ready to run. */
interface Opened {
  readonly feed: Feed;
  readonly created: Pick<WatchEventsResponse, "message">;
}

/** A watch under way. */
interface Reader {
  readonly channel: Channel;
  readonly isOfSession: boolean;
  place: number;
}

/** How the watches of sessions, or those of namespaces, are doing. */
export interface WatchStats {
  readonly open: number;
  /** Of these, watches that have not been given all there is. */
  readonly behind: number;
  /** What the slowest of them has not been given: events of its session, or commits of its namespace. */
  readonly maxLag: number;
}

/** Streams the events of a session or a namespace to those who watch it. */
export class Watches {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #hub: Hub;
  readonly #clock: Clock;
  readonly #shutdown: AbortSignal;
  readonly #progressIntervalMs: number;
  readonly #readers = new Set<Reader>();
  #open = 0;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    hub: Hub;
    clock: Clock;
    /** Fires when the server is about to stop. */
    shutdown: AbortSignal;
    /** How often a quiet watch says it is current. Default from `limits.ts`. */
    progressIntervalMs?: number;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#hub = args.hub;
    this.#clock = args.clock;
    this.#shutdown = args.shutdown;
    // One listener for all watches: each of thousands adding its own would cost them all.
    args.shutdown.addEventListener("abort", () => args.hub.wakeAll(), { once: true });
    this.#progressIntervalMs = args.progressIntervalMs ?? limits.progressIntervalMs;
  }

  /** Looks at every watch. */
  stats(of: "session" | "namespace"): WatchStats {
    let [open, behind, maxLag] = [0, 0, 0];
    for (const { channel, isOfSession, place } of this.#readers) {
      if (isOfSession !== (of === "session")) continue;
      const lag = channel.place - place;
      open += 1;
      if (lag > 0) behind += 1;
      maxLag = Math.max(maxLag, lag);
    }
    return { open, behind, maxLag };
  }

  /**
   * Runs a watch until `signal` fires; a slow consumer just makes it read later.
   *
   * Errors: as documented at the rpc.
   */
  async *watch(
    request: WatchEventsRequest,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEventsResponse> {
    validate(WatchEventsRequestSchema, request);
    if (request.untilEnded && request.sessionId === "") {
      throw new InvalidFieldError({ field: "until_ended", description: "needs session_id" });
    }
    if (this.#open >= limits.watches) throw new TooManyWatchesError({ limit: limits.watches });
    this.#open++;
    let channel: Channel | undefined;
    let reader: Reader | undefined;
    try {
      const { feed, created } = await this.#openFeed(request);
      channel = feed.channel;
      const from = startOf(feed, request);
      reader = { channel, isOfSession: request.sessionId !== "", place: from.place };
      this.#readers.add(reader);
      const cursor = feed.cursor.encode(from.place, from.knownThrough);
      yield create(WatchEventsResponseSchema, { ...created, cursor });
      yield* this.#follow({ feed, from, reader, request, signal });
    } finally {
      this.#open--;
      if (reader !== undefined) this.#readers.delete(reader);
      if (channel !== undefined) this.#hub.release(channel);
    }
  }

  async *#follow(args: {
    feed: Feed;
    from: CursorPlace;
    reader: Reader;
    request: WatchEventsRequest;
    signal: AbortSignal;
  }): AsyncGenerator<WatchEventsResponse> {
    const { feed, reader, request, signal } = args;
    const { channel } = feed;
    let { place, knownThrough } = args.from;
    while (!signal.aborted) {
      if (this.#shutdown.aborted) throw new ShuttingDownError();
      if (place < channel.place) {
        let step: Step | undefined = await feed.read({ place, knownThrough });
        place = step.place;
        knownThrough = Math.max(place, knownThrough);
        const handover = step.message && new Handover(step.message);
        // Nothing here holds the message while its reader takes its time: the transport has bytes.
        step = undefined;
        if (handover !== undefined) yield handover.take();
        reader.place = place;
        continue;
      }
      // Nothing waits between these looks at the channel and the wait, so no wake-up is missed.
      if (channel.isDeleted) throw new SessionDeletedError({ sessionId: request.sessionId });
      if (request.untilEnded && channel.hasEnded) return;
      const woken = await waitForWake(channel, {
        signal,
        timeoutMs: this.#progressIntervalMs,
      });
      if (woken === "timeout") {
        yield create(WatchEventsResponseSchema, {
          cursor: feed.cursor.encode(place, knownThrough),
          message: {
            case: "progress",
            value: { headRevision: request.sessionId === "" ? 0 : channel.place },
          },
        });
      }
    }
  }

  #openFeed(request: WatchEventsRequest): Promise<Opened> | Opened {
    const namespace = namespaceOf(request.namespace);
    const { storeId } = this.#store.capabilities;
    const store = this.#store;
    const { sessionId } = request;
    if (sessionId === "") {
      const cursor = cursorCodec("namespace", scopeOf(storeId, namespace));
      const channel = this.#hub.openNamespace(namespace);
      const feed = namespaceFeed({ store, channel, cursor, namespace });
      return { feed, created: createdMessage({}) };
    }
    return this.#cells.use({ namespace, sessionId }, (cell) => {
      const durable = cell.requireDurable();
      const { uid, state } = asOf(durable, this.#clock()).session;
      const cursor = cursorCodec("session", scopeOf(storeId, uid));
      const channel = this.#hub.openSession(durable);
      const log = placesOf(durable);
      const feed = sessionFeed({ store, channel, cursor, sessionId, log });
      const headRevision = durable.head.revision;
      return { feed, created: createdMessage({ headRevision, earliestRevision: 1, state }) };
    });
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

function createdMessage(value: {
  headRevision?: number;
  earliestRevision?: number;
  state?: number;
}): Opened["created"] {
  return create(WatchEventsResponseSchema, { message: { case: "created", value } });
}

/** Where a watch begins. Errors: CursorInvalidError, HistoryGoneError. */
function startOf(feed: Feed, { cursor: given, start }: WatchEventsRequest): CursorPlace {
  const { channel, cursor } = feed;
  const newest = { place: channel.place, knownThrough: channel.place };
  if (given === "" && start === WatchStart.NOW) return newest;
  const from = given === "" ? { place: 0, knownThrough: 0 } : cursor.decode(given);
  const goneThrough = feed.goneThrough();
  // Who has seen nothing misses no deletion.
  if (from.place === 0) return { place: 0, knownThrough: goneThrough };
  if (from.knownThrough > channel.place) {
    throw new CursorInvalidError("is ahead of the log, which was restored or replaced since");
  }
  if (goneThrough > from.knownThrough) throw deletionsGone(from);
  return from;
}
