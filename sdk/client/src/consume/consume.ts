import { Code, ConnectError } from "@connectrpc/connect";
import { type WatchEventsResponse, WatchGapReason } from "@sessiond/contract";
import type { ClientContext } from "../context.ts";
import { ClientClosedError, ConsumerGapError } from "../errors/client-errors.ts";
import { fromConnectError } from "../errors/from-connect-error.ts";
import { ConsumerInUseError, ConsumerTakenOverError } from "../errors/server-errors.ts";
import { retryDelayMs } from "../retry/policy.ts";
import { isTransient } from "../retry/transient.ts";
import { toSessionEvent } from "../session-event.ts";
import { damagedError } from "../watch.ts";
import { CursorCommits } from "./cursor-commits.ts";
import { ensureConsumer } from "./ensure-consumer.ts";
import type { ConsumeHandler, ConsumeOptions, ConsumerGap } from "./options.ts";

/** Longest wait of a reader in reserve before it looks again; it grows from a tenth of that. */
const standbyMs = 5_000;

/** What the caller's functions threw, to be told apart from what the calls did. */
class Thrown {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

interface Consumption {
  readonly context: ClientContext;
  readonly name: string;
  readonly options: ConsumeOptions;
  readonly handler: ConsumeHandler;
  readonly signal: AbortSignal;
}

/**
 * Reads under a name until the signal fires. `SessiondClient.consume` documents it.
 *
 * 1. Make sure that the consumer is there.
 * 2. Watch under its name: give each batch to the handler, then commit its cursor.
 * 3. When another has the name, wait and go to 2; when the connection broke, too. Throw what else
 *    happens.
 */
export async function consume(
  context: ClientContext,
  name: string,
  options: ConsumeOptions,
  handler: ConsumeHandler,
): Promise<void> {
  const { signal = new AbortController().signal } = options;
  const { retry } = context;
  let takeOver = options.takeOver ?? false;
  let isOpened = false;
  let failures = 0;
  let waits = 0;
  const onOpen = () => {
    isOpened = true;
    takeOver = false;
    failures = 0;
    waits = 0;
  };
  if (signal.aborted) return;
  await ensureConsumer(context, name, options);
  while (!signal.aborted) {
    let delayMs: number;
    try {
      return await read({ context, name, options, handler, signal }, { takeOver, onOpen });
    } catch (error) {
      if (error instanceof Thrown) throw error.cause;
      if (signal.aborted || (isOpened && isClosed(error))) return;
      const known = fromConnectError(error, {});
      if (known instanceof ConsumerInUseError || known instanceof ConsumerTakenOverError) {
        waits += 1;
        options.onStandby?.(known);
        const longestMs = Math.min(standbyMs, (standbyMs / 10) * 2 ** Math.min(waits - 1, 10));
        delayMs = longestMs * (0.5 + retry.random() / 2);
      } else {
        failures += 1;
        const attempts = isOpened ? retry.watchAttempts : retry.attempts;
        if (!isTransient(error) || failures >= attempts) throw known;
        delayMs = retryDelayMs(retry, failures);
      }
    }
    await retry.sleep(delayMs, signal);
  }
}

/** Reads over one watch. Errors: Thrown, or a ConnectError; ends well when the signal fires. */
async function read(
  consumption: Consumption,
  { takeOver, onOpen }: { takeOver: boolean; onOpen: () => void },
): Promise<void> {
  const { context, name, options, signal } = consumption;
  const { namespace, clients } = context;
  const { reader = "" } = options;
  const ended = new AbortController();
  const end = () => ended.abort();
  signal.addEventListener("abort", end);
  const commits = new CursorCommits({ clients, namespace, name, onFailure: end });
  const request = { namespace, consumer: name, takeOver, reader };
  try {
    for await (const message of clients.events.watchEvents(request, { signal: ended.signal })) {
      if (message.message.case === "created") {
        onOpen();
        commits.begin({ lease: message.message.value.lease, cursor: message.cursor });
      } else {
        await commits.during(() => deal(consumption, message));
        commits.add(message.cursor);
      }
      if (ended.signal.aborted) break;
    }
  } catch (error) {
    if (error instanceof Thrown || !ended.signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", end);
    end();
    await commits.close();
  }
  if (commits.failure !== undefined) throw commits.failure;
  if (!signal.aborted) throw new ConnectError("the server ended the watch", Code.Unavailable);
}

/** Gives a message to the caller. Errors: Thrown. */
async function deal(
  { options, handler }: Consumption,
  { message, cursor }: WatchEventsResponse,
): Promise<void> {
  try {
    switch (message.case) {
      case "events": {
        const { sessionId, sessionUid, events } = message.value;
        await handler({ sessionId, sessionUid, events: events.map(toSessionEvent), cursor });
        return;
      }
      case "gap": {
        const { description } = message.value;
        const gap = { reason: gapWords[message.value.reason], description };
        if (options.onGap === undefined) throw new ConsumerGapError(description);
        await options.onGap(gap);
        return;
      }
      case "sessionDeleted":
        await options.onSessionDeleted?.(message.value);
        return;
      case "eventsDamaged":
        if (options.onEventsDamaged === undefined) throw damagedError(message.value);
        await options.onEventsDamaged(message.value);
    }
  } catch (cause) {
    throw new Thrown(cause);
  }
}

const gapWords: { readonly [reason in WatchGapReason]: ConsumerGap["reason"] } = {
  [WatchGapReason.UNSPECIFIED]: undefined,
  [WatchGapReason.DELETIONS_GONE]: "deletionsGone",
  [WatchGapReason.STORE_RESTORED]: "storeRestored",
};

function isClosed(error: unknown): boolean {
  return error instanceof ConnectError && error.cause instanceof ClientClosedError;
}
