import type { Interceptor } from "@connectrpc/connect";
import type { Calls } from "./calls.ts";
import { type Defect, toConnectError } from "./errors.ts";

/** What the HTTP front door needs from its server. */
export interface HttpCallOptions {
  readonly calls: Calls;
  readonly onDefect: (defect: Defect) => void;
}

/** Counts calls and gives errors their reasons, as the gRPC front door does. */
export function callInterceptor({ calls, onDefect }: HttpCallOptions): Interceptor {
  return (next) => async (request) => {
    let streaming = false;
    const kind = request.stream ? "stream" : "unary";
    try {
      calls.begin(kind);
    } catch (error) {
      throw toConnectError(error, onDefect);
    }
    try {
      const response = await next(request);
      if (!response.stream) {
        return response;
      }
      streaming = true;
      const message = relay(response.message, request.signal, { calls, onDefect });
      return { ...response, message };
    } catch (error) {
      throw toConnectError(error, onDefect);
    } finally {
      if (!streaming) {
        calls.end(kind);
      }
    }
  };
}

async function* relay<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  { calls, onDefect }: HttpCallOptions,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let ended = false;
  const end = () => {
    if (!ended) {
      ended = true;
      calls.end("stream");
    }
  };
  // connect-node does not return the iterator when a client vanishes that was not reading.
  const leave = () => {
    iterator.return?.().catch(() => {});
    end();
  };
  if (signal.aborted) {
    leave();
  }
  signal.addEventListener("abort", leave, { once: true });
  try {
    for (;;) {
      const item = await iterator.next();
      if (item.done === true) {
        return;
      }
      yield item.value;
    }
  } catch (error) {
    throw toConnectError(error, onDefect);
  } finally {
    signal.removeEventListener("abort", leave);
    end();
  }
}
