import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/**
 * Turns what `fetch` and broken streams throw into `unavailable`, so that calls are repeated and
 * watches resume. Must be the innermost interceptor.
 *
 * A browser does not tell a page why a request failed: nothing listens, or the server does not
 * allow the page's origin.
 */
export function connectionErrors(address: string): Interceptor {
  return (next) => async (req) => {
    try {
      const response = await next(req);
      if (!response.stream) return response;
      const explain = (error: unknown) => (isCut(error) ? lost(address, error) : error);
      return { ...response, message: withErrors(response.message, explain, req.signal) };
    } catch (error) {
      throw error instanceof TypeError && !req.signal.aborted ? noAnswer(address, error) : error;
    }
  };
}

/** Passes messages on, and explains what ends them unless the caller did. */
async function* withErrors<T>(
  messages: AsyncIterable<T>,
  explain: (error: unknown) => unknown,
  signal: AbortSignal,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw signal.aborted ? error : explain(error);
  }
}

/** The stream broke, or ended in the middle of a message, or without the message that ends it. */
function isCut(error: unknown): boolean {
  if (error instanceof TypeError || error === "missing EndStreamResponse") return true;
  return (
    error instanceof ConnectError && error.rawMessage === "protocol error: incomplete envelope"
  );
}

function lost(address: string, cause: unknown): ConnectError {
  const message = `lost the connection to sessiond at ${address}`;
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}

function noAnswer(address: string, cause: TypeError): ConnectError {
  const { location } = globalThis as { location?: { readonly origin: string } };
  const option = location === undefined ? "" : ` --allow-origin ${location.origin}`;
  const message = `no answer from sessiond at ${address}; start it with \`sessiond serve${option}\``;
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}
