import type { CallOptions } from "./call-options.ts";
import type { ClientContext } from "./context.ts";
import { UsageError } from "./errors/client-errors.ts";
import { listEvents } from "./event-list.ts";
import type { Page } from "./page.ts";
import type { SessionEvent } from "./session-event.ts";

/** Which events to replay, and how fast. */
export interface ReplayOptions {
  /** How many times as fast as recorded. Infinity: without pauses. Default 1. */
  readonly speed?: number | undefined;
  /** Longest pause in front of an event, as it is waited. Default: none is cut. */
  readonly maxPauseMs?: number | undefined;
  /** First revision. Default: the oldest. */
  readonly first?: number | undefined;
  /** Last revision, included. Default: the newest. */
  readonly last?: number | undefined;
  /** Ends the replay, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Time the read of a page may take with all its retries; 0: no limit. Default: the client's. */
  readonly timeoutMs?: CallOptions["timeoutMs"];
}

/** Events of a page; two are held at most. */
const pageSize = 200;
/** Timers hold 31 bits of milliseconds, and fire at once beyond them. */
const longestSleepMs = 2 ** 31 - 1;

/** Replays the events of a session. `Session.replay` documents it. */
export function replayEvents(
  context: ClientContext,
  sessionId: string,
  options: ReplayOptions,
): AsyncGenerator<SessionEvent, void, undefined> {
  const { speed = 1, maxPauseMs = Number.POSITIVE_INFINITY } = options;
  if (!(speed > 0)) {
    throw new UsageError(
      `speed is ${speed}; it must be more than 0: 4 is four times as fast, Infinity without pauses`,
    );
  }
  if (!(maxPauseMs >= 0)) {
    throw new UsageError(`maxPauseMs is ${maxPauseMs}; it must be a time in milliseconds`);
  }
  return replay(context, sessionId, { ...options, speed, maxPauseMs });
}

async function* replay(
  context: ClientContext,
  sessionId: string,
  options: ReplayOptions & { readonly speed: number; readonly maxPauseMs: number },
): AsyncGenerator<SessionEvent, void, undefined> {
  const { first, last, timeoutMs, speed, maxPauseMs, signal: given } = options;
  const left = new AbortController();
  const signal = given === undefined ? left.signal : AbortSignal.any([given, left.signal]);
  const fetchPage = (pageToken?: string) => {
    const range = { first, last, includeHidden: true };
    const query = { ...range, pageSize, pageToken, signal, timeoutMs };
    const page = listEvents(context, sessionId, query).then((found) => found);
    // It is awaited when the page before is used up, which may be never.
    page.catch(() => {});
    return page;
  };
  let next: Promise<Page<SessionEvent>> | undefined = fetchPage();
  let before: SessionEvent | undefined;
  let dueMs = context.elapsedMs();
  try {
    while (next !== undefined) {
      const { items, nextPageToken }: Page<SessionEvent> = await next;
      // While this page is shown the next one comes, so that its first event is not late.
      next = nextPageToken === undefined ? undefined : fetchPage(nextPageToken);
      for (const event of items) {
        const pauseMs = before === undefined ? 0 : pauseBetween(before, event) / speed;
        // Counted from the time the one before was due: the work between two events costs no time. A
        // reader who was slower than that gets the rest at its pace, not all at once.
        dueMs = Math.max(dueMs + Math.min(pauseMs, maxPauseMs), context.elapsedMs());
        await sleepUntil(context, dueMs, signal);
        if (signal.aborted) return;
        before = event;
        yield event;
      }
    }
  } catch (error) {
    if (!given?.aborted) throw error;
  } finally {
    left.abort();
  }
}

function pauseBetween(before: SessionEvent, event: SessionEvent): number {
  return Math.max(0, event.createTime.getTime() - before.createTime.getTime());
}

async function sleepUntil(
  { elapsedMs, retry }: ClientContext,
  dueMs: number,
  signal: AbortSignal,
): Promise<void> {
  let leftMs = dueMs - elapsedMs();
  while (leftMs > 0 && !signal.aborted) {
    await retry.sleep(Math.min(leftMs, longestSleepMs), signal);
    leftMs = dueMs - elapsedMs();
  }
}
