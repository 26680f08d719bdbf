import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

export interface SilenceOptions {
  readonly address: string;
  /** How long a stream may be silent, in milliseconds. */
  readonly silentMs: number;
}

/**
 * Ends streams on which nothing comes for long, so that watches resume: a browser has no pings that
 * find a peer which vanished without closing. A quiet watch says every few seconds that it is
 * current. Only the time in which a message is waited for counts.
 */
export function endSilentStreams(options: SilenceOptions): Interceptor {
  return (next) => async (req) => {
    const response = await next(req);
    if (!response.stream) return response;
    return { ...response, message: noticingSilence(response.message, options) };
  };
}

async function* noticingSilence<T>(
  messages: AsyncIterable<T>,
  options: SilenceOptions,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  for (;;) {
    const result = await beforeSilence(iterator.next(), options);
    if (result.done) return;
    yield result.value;
  }
}

function beforeSilence<T>(next: Promise<T>, { address, silentMs }: SilenceOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const message = `sessiond at ${address} has said nothing for ${silentMs} ms`;
      reject(new ConnectError(message, Code.Unavailable));
    }, silentMs);
    next.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
