import { create } from "@bufbuild/protobuf";
import {
  type WatchCreated,
  WatchCreatedSchema,
  type WatchEventsRequest,
  WatchEventsRequestSchema,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
  WatchStart,
} from "@sessiond/contract";
import { type CursorPlace, cursorCodec, scopeOf } from "../../cursor.ts";
import { CursorInvalidError, InvalidFieldError, TooManyWatchesError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import { uidText } from "../../store/keys.ts";
import { placesOf } from "../../store/log.ts";
import type { ConsumerName, Store } from "../../store/store.ts";
import { eventFilterOf } from "../filter/event-filter-of.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { namespaceOf } from "../names.ts";
import type { SessionCells, SessionName } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import type { Channel } from "./channel.ts";
import { assertCallers } from "./consumer-names.ts";
import type { Consumers, OpenConsumer } from "./consumers.ts";
import { follow, type Reader } from "./follow.ts";
import { restoredGap } from "./gaps.ts";
import type { Hub } from "./hub.ts";
import { namespaceFeed } from "./namespace-feed.ts";
import type { RecentCommits } from "./recent-commits.ts";
import { deletionsGone, type Feed, sessionFeed } from "./session-feed.ts";

/** A watch that is ready to run. */
interface Opened {
  readonly feed: Feed;
  readonly created: WatchCreated;
}

/** How the watches of sessions, or those of namespaces, are doing. */
export interface WatchStats {
  readonly open: number;
  /** Of these, watches that have not been given all there is. */
  readonly behind: number;
  /** What the slowest of them has not been given: events of its session, or commits of its namespace. */
  readonly maxLag: number;
}

/** How a watch is read inside the server. */
interface OwnReading {
  readonly signal: AbortSignal;
  readonly untilCurrent: boolean;
  readonly onMissed?: ((events: number) => void) | undefined;
}

/** Streams the events of a session or a namespace to those who watch it. */
export class Watches {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #hub: Hub;
  readonly #consumers: Consumers;
  readonly #clock: Clock;
  readonly #shutdown: AbortSignal;
  readonly #progressIntervalMs: number;
  readonly #recent: RecentCommits | undefined;
  readonly #readers = new Set<Reader>();
  #open = 0;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    hub: Hub;
    consumers: Consumers;
    clock: Clock;
    /** Fires when the server is about to stop. */
    shutdown: AbortSignal;
    /** How often a quiet watch says it is current. Default from `limits.ts`. */
    progressIntervalMs?: number;
    /** The newest commits, for readers of the server's own. Default: everything is read. */
    recent?: RecentCommits | undefined;
  }) {
    this.#recent = args.recent;
    this.#store = args.store;
    this.#cells = args.cells;
    this.#hub = args.hub;
    this.#consumers = args.consumers;
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
    checkTogether(request);
    if (this.#open >= limits.watches) throw new TooManyWatchesError({ limit: limits.watches });
    yield* this.#read(request, { signal, untilCurrent: false });
  }

  /**
   * Reads as a consumer of the server itself, which has the name for itself. With `untilCurrent` it ends
   * when all there is was shown; `onMissed` hears of events that were passed over.
   */
  async *readOwn(
    { namespace, name }: ConsumerName,
    options: OwnReading,
  ): AsyncGenerator<WatchEventsResponse> {
    const own = { namespace, consumer: name, takeOver: true, reader: "sessiond" };
    yield* this.#read(create(WatchEventsRequestSchema, own), options);
  }

  async *#read(
    request: WatchEventsRequest,
    { signal, untilCurrent, onMissed }: OwnReading,
  ): AsyncGenerator<WatchEventsResponse> {
    this.#open++;
    let consumer: OpenConsumer | undefined;
    let channel: Channel | undefined;
    let reader: Reader | undefined;
    try {
      consumer = await this.#openConsumer(request);
      const passes = await eventFilterOf(consumer?.record.filter ?? request.filter);
      // The server's own readers follow closely, and several read the same.
      const recent = untilCurrent ? this.#recent : undefined;
      const { feed, created } = await this.#openFeed(request, { consumer, recent });
      channel = feed.channel;
      const isOfSession = created.earliestRevision > 0;
      if (request.untilEnded && !isOfSession) throw needsSession();
      const from = consumer === undefined ? startOf(feed, request) : placeIn(feed, consumer);
      reader = { channel, isOfSession, place: from.place };
      this.#readers.add(reader);
      const cursor = feed.cursor.encode(from.place, from.knownThrough);
      const value = { ...created, lease: consumer?.lease.id ?? "" };
      yield create(WatchEventsResponseSchema, { cursor, message: { case: "created", value } });
      consumer?.touch();
      if (consumer?.isRestored) yield restoredGap(cursor);
      yield* follow({
        feed,
        from,
        reader,
        consumer,
        passes,
        sessionId: consumer?.record.sessionId ?? request.sessionId,
        untilEnded: request.untilEnded,
        untilCurrent,
        onMissed,
        signal,
        // A sink still reads when everybody else was sent away.
        shutdown: untilCurrent ? signal : this.#shutdown,
        progressIntervalMs: this.#progressIntervalMs,
      });
    } finally {
      this.#open--;
      consumer?.close();
      if (reader !== undefined) this.#readers.delete(reader);
      if (channel !== undefined) this.#hub.release(channel);
    }
  }

  async #openConsumer(request: WatchEventsRequest): Promise<OpenConsumer | undefined> {
    const { consumer: name, takeOver, reader } = request;
    if (name === "") return undefined;
    const namespace = namespaceOf(request.namespace);
    return this.#consumers.open({ namespace, name }, { takeOver, reader });
  }

  async #openFeed(
    request: WatchEventsRequest,
    args: { consumer: OpenConsumer | undefined; recent: RecentCommits | undefined },
  ): Promise<Opened> {
    const { consumer, recent } = args;
    const namespace = namespaceOf(request.namespace);
    const uid = consumer?.record.sessionUid ?? new Uint8Array();
    if (consumer === undefined || uid.length === 0) {
      return request.sessionId === ""
        ? this.#openNamespace(namespace, recent)
        : (this.#openSession({ namespace, sessionId: request.sessionId }) as Promise<Opened>);
    }
    for (;;) {
      const name = await this.#consumers.source(consumer);
      const opened = await this.#openSession(name, uidText(uid));
      // Renamed in between otherwise.
      if (opened !== undefined) return opened;
    }
  }

  #openNamespace(namespace: string, recent: RecentCommits | undefined): Opened {
    const store = this.#store;
    const cursor = cursorCodec("namespace", scopeOf(store.capabilities.storeId, namespace));
    const channel = this.#hub.openNamespace(namespace);
    return {
      feed: namespaceFeed({ store, channel, cursor, namespace, recent }),
      created: create(WatchCreatedSchema),
    };
  }

  /** Undefined when the session has not the uid that it is to have. */
  #openSession(name: SessionName, wantedUid?: string): Promise<Opened | undefined> {
    const store = this.#store;
    return this.#cells.use(name, (cell) => {
      const durable = cell.requireDurable();
      const { uid, state } = asOf(durable, this.#clock()).session;
      if (wantedUid !== undefined && uid !== wantedUid) return undefined;
      const cursor = cursorCodec("session", scopeOf(store.capabilities.storeId, uid));
      const channel = this.#hub.openSession(durable);
      const { sessionId } = name;
      const feed = sessionFeed({ store, channel, cursor, sessionId, log: placesOf(durable) });
      const headRevision = durable.head.revision;
      const created = create(WatchCreatedSchema, { headRevision, earliestRevision: 1, state });
      return { feed, created };
    });
  }
}

/** Errors: InvalidFieldError for fields that contradict one another. */
function checkTogether(request: WatchEventsRequest): void {
  const { consumer, sessionId, start, cursor, filter, takeOver, reader } = request;
  if (consumer === "") {
    if (request.untilEnded && sessionId === "") throw needsSession();
    if (takeOver)
      throw new InvalidFieldError({ field: "take_over", description: "needs consumer" });
    if (reader !== "")
      throw new InvalidFieldError({ field: "reader", description: "needs consumer" });
    return;
  }
  assertCallers(consumer, "consumer");
  const has = {
    session_id: sessionId !== "",
    start: start !== 0,
    cursor: cursor !== "",
    filter: filter !== "",
  };
  const [field] = Object.entries(has).find(([, isSet]) => isSet) ?? [];
  if (field === undefined) return;
  const description = "is not together with consumer, which has its own; leave one of them out";
  throw new InvalidFieldError({ field, description });
}

function needsSession(): InvalidFieldError {
  return new InvalidFieldError({ field: "until_ended", description: "needs session_id" });
}

/** Where a consumer goes on. Errors: CursorInvalidError. */
function placeIn({ channel }: Feed, { place }: OpenConsumer): CursorPlace {
  assertReached(channel, place);
  return place;
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
  assertReached(channel, from);
  if (goneThrough > from.knownThrough) throw deletionsGone(from);
  return from;
}

/** Errors: CursorInvalidError for a place that the log has not come to. */
function assertReached(channel: Channel, { knownThrough }: CursorPlace): void {
  if (knownThrough <= channel.place) return;
  throw new CursorInvalidError("is ahead of the log, which was restored or replaced since");
}
