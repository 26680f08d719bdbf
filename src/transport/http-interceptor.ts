import { Code, type ConnectError, type Interceptor } from "@connectrpc/connect";
import type { CallObserver } from "./call-observer.ts";
import type { Calls } from "./calls.ts";
import { abandoned, type Defect, toConnectError } from "./errors.ts";

/** What the HTTP front door needs from its server. */
export interface HttpCallOptions {
  readonly calls: Calls;
  readonly onDefect: (defect: Defect) => void;
  /** Hears of every call. Absent: nobody does. */
  readonly observe?: CallObserver | undefined;
}

/** Counts calls and gives errors their reasons, as the gRPC front door does. */
export function callInterceptor(options: HttpCallOptions): Interceptor {
  const { calls, onDefect, observe } = options;
  return (next) => async (request) => {
    let streaming = false;
    const kind = request.stream ? "stream" : "unary";
    const ended = observe?.(request.method, kind, request.stream ? undefined : request.message);
    const failed = (error: unknown) => {
      const connectError = toConnectError(error, onDefect);
      ended?.(connectError);
      return connectError;
    };
    try {
      calls.begin(kind);
    } catch (error) {
      throw failed(error);
    }
    try {
      if (kind === "unary") await calls.turn();
      const response = await next(request);
      if (!response.stream) {
        ended?.();
        return response;
      }
      streaming = true;
      const message = relay(response.message, request.signal, { calls, onDefect, ended });
      return { ...response, message };
    } catch (error) {
      throw failed(error);
    } finally {
      if (!streaming) {
        calls.end(kind);
      }
    }
  };
}

type RelayOptions = Omit<HttpCallOptions, "observe"> & {
  readonly ended: ((error?: ConnectError) => void) | undefined;
};

async function* relay<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  { calls, onDefect, ended }: RelayOptions,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let isOver = false;
  const end = (error?: ConnectError) => {
    if (!isOver) {
      isOver = true;
      calls.end("stream");
      ended?.(error);
    }
  };
  // connect-node does not return the iterator when a client vanishes that was not reading.
  const leave = () => {
    iterator.return?.().catch(() => {});
    end(abandoned(Code.Canceled));
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
    const connectError = toConnectError(error, onDefect);
    end(connectError);
    throw connectError;
  } finally {
    signal.removeEventListener("abort", leave);
    end();
  }
}
