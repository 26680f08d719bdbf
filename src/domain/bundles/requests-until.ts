import { ShuttingDownError } from "../../errors.ts";

/**
 * The requests of a stream as they come, until the signal fires.
 *
 * Errors: ShuttingDownError then, also while it waits for a client that sends nothing; those of the
 * stream.
 */
export async function* requestsUntil<T>(
  requests: AsyncIterable<T>,
  shutdown: AbortSignal,
): AsyncGenerator<T> {
  const source = requests[Symbol.asyncIterator]();
  const stopped = Promise.withResolvers<never>();
  // Not always awaited: what nobody waits for must not count as an unhandled rejection.
  stopped.promise.catch(() => {});
  const stop = () => stopped.reject(new ShuttingDownError());
  if (shutdown.aborted) stop();
  shutdown.addEventListener("abort", stop);
  try {
    for (;;) {
      const next = source.next();
      next.catch(() => {});
      const { done, value } = await Promise.race([next, stopped.promise]);
      if (done) return;
      yield value;
    }
  } finally {
    shutdown.removeEventListener("abort", stop);
    // Not awaited: a source that waits for the client returns only when the client is gone.
    source.return?.().catch(() => {});
  }
}
