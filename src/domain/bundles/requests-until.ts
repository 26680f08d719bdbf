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
  // Of the read under way alone: a race with one promise for all of them would keep every request.
  let stop = () => {};
  const onShutdown = () => stop();
  shutdown.addEventListener("abort", onShutdown);
  try {
    for (;;) {
      const read = Promise.withResolvers<IteratorResult<T>>();
      stop = () => read.reject(new ShuttingDownError());
      source.next().then(read.resolve, read.reject);
      if (shutdown.aborted) stop();
      const { done, value } = await read.promise;
      if (done) return;
      yield value;
    }
  } finally {
    shutdown.removeEventListener("abort", onShutdown);
    // Not awaited: a source that waits for the client returns only when the client is gone.
    source.return?.().catch(() => {});
  }
}
