import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { WatchEventsRequestSchema, WatchEventsResponse } from "@sessiond/contract";
import type { Clients } from "./clients.ts";
import { ClientClosedError } from "./errors/client-errors.ts";
import { type RetryPolicy, retryDelayMs } from "./retry/policy.ts";
import { isTransient } from "./retry/transient.ts";

export interface WatchCall {
  readonly clients: Pick<Clients, "events">;
  readonly request: MessageInitShape<typeof WatchEventsRequestSchema>;
  readonly retry: RetryPolicy;
  readonly signal: AbortSignal;
}

/**
 * Yields the messages of a watch and resumes it when the connection breaks.
 *
 * 1. Open the watch behind the newest cursor.
 * 2. Yield its messages; a message counts as delivered when the next one is asked for, and only
 *    then does its cursor become the newest. So a break repeats nothing and skips nothing.
 * 3. On a failure that passes, wait and go to 1; on another, throw it.
 *
 * Ends when the signal aborts, when the client is closed, or at the end of the session if
 * `untilEnded` was asked for. Throws ConnectError.
 */
export async function* watchMessages(call: WatchCall): AsyncGenerator<WatchEventsResponse> {
  const { clients, request, retry, signal } = call;
  let cursor = request.cursor ?? "";
  let opened = false;
  let failures = 0;
  while (!signal.aborted) {
    try {
      for await (const message of clients.events.watchEvents({ ...request, cursor }, { signal })) {
        opened = true;
        failures = 0;
        yield message;
        cursor = message.cursor;
      }
      if (request.untilEnded) return;
      throw new ConnectError("the server ended the watch", Code.Unavailable);
    } catch (error) {
      if (signal.aborted || (opened && isClosed(error))) return;
      failures += 1;
      const attempts = opened ? retry.watchAttempts : retry.attempts;
      if (!isTransient(error) || failures >= attempts) throw error;
    }
    await retry.sleep(retryDelayMs(retry, failures), signal);
  }
}

/** Closing the client ends its watches well; only a watch opened afterwards fails. */
function isClosed(error: unknown): boolean {
  return error instanceof ConnectError && error.cause instanceof ClientClosedError;
}
