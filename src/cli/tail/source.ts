import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Sessiond, SessionEvent } from "@sessiond/client";
import { type WatchEventsRequestSchema, WatchStart } from "@sessiond/contract";

/** An event on its way to the screen. */
export interface TailItem {
  readonly sessionId: string;
  readonly event: SessionEvent;
  /** Place to continue from behind the event; before its batch while more of it is to come. */
  readonly cursor: string;
}

/** What to read, from where. */
export interface TailRequest {
  readonly sessiond: Sessiond;
  readonly sessionId: string | undefined;
  /** Default: from the first event. */
  readonly cursor: string | undefined;
  /** Only events for which this is true, in CEL. Default: all. */
  readonly filter?: string | undefined;
}

/** The place behind what is there now: who continues from it sees what comes, and nothing else. */
export async function cursorAtEnd(request: Omit<TailRequest, "cursor">): Promise<string> {
  const { sessiond, sessionId } = request;
  const place = sessionId === undefined ? sessiond : await sessiond.sessions.get(sessionId);
  await using watch = place.watch({ from: "now" });
  await watch.open();
  return watch.cursor;
}

/**
 * Follows events live, over breaks and restarts. Ends with the client, or with
 * `untilEnded` after the end of the session.
 */
export async function* follow(
  request: TailRequest & { untilEnded: boolean },
): AsyncGenerator<TailItem, void> {
  const { sessiond, sessionId, cursor, filter, untilEnded } = request;
  if (sessionId === undefined) {
    yield* sessiond.watch({ cursor, filter });
    return;
  }
  const session = await sessiond.sessions.get(sessionId);
  await using watch = session.watch({ cursor, filter, untilEnded });
  for await (const event of watch) yield { sessionId, event, cursor: watch.cursor };
}

/**
 * Reads events up to the place that is the end now, and ends there.
 *
 * 1. A watch that begins now says in its first message where the end is.
 * 2. A watch from the beginning or the cursor is read until it is there. Events that came since may
 *    share a message with the last ones; one that is newer than the call, or word that the watch is
 *    current, ends it as well.
 */
export async function* readToEnd(request: TailRequest): AsyncGenerator<TailItem, void> {
  const { fromConnectError, toSessionEvent } = await import("@sessiond/client");
  const { sessiond, sessionId = "", cursor = "", filter = "" } = request;
  const ended = new AbortController();
  const open = (start: MessageInitShape<typeof WatchEventsRequestSchema>) =>
    sessiond.clients.events.watchEvents(
      { ...start, namespace: sessiond.namespace, sessionId },
      { signal: ended.signal },
    );
  const calledMs = Date.now();
  let place = cursor;
  try {
    const end = await firstCursor(open({ start: WatchStart.NOW }));
    for await (const { cursor: behind, message } of open({ cursor, filter })) {
      if (message.case === "events") {
        const { events, sessionId: name } = message.value;
        const last = events.length - 1;
        for (const [index, event] of events.entries()) {
          yield {
            sessionId: name,
            event: toSessionEvent(event),
            cursor: index === last ? behind : place,
          };
        }
        const newest = events.at(-1);
        if (newest !== undefined && toSessionEvent(newest).createTime.getTime() > calledMs) return;
      }
      const isCurrent = message.case === "progress" && message.value.lag === 0;
      if (behind === end || isCurrent) return;
      place = behind;
    }
  } catch (error) {
    throw fromConnectError(error, sessionId === "" ? {} : { sessionId });
  } finally {
    ended.abort();
  }
}

/** The cursor of the first message; its stream ends with the signal of the call. */
async function firstCursor(messages: AsyncIterable<{ cursor: string }>): Promise<string> {
  for await (const { cursor } of messages) return cursor;
  return "";
}
