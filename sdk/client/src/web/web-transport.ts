import { type CallOptions, createContextValues, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import type { TransportOptions } from "../client.ts";
import { type ClosableTransport, closedError } from "../transport/closable-transport.ts";
import { deadlineKey } from "../transport/deadline.ts";
import { connectionErrors } from "./connection-errors.ts";
import { endSilentStreams } from "./silence.ts";

export interface WebTransportOptions extends TransportOptions {
  /** URL that the paths of calls are added to. */
  readonly address: string;
  /** A stream that is silent for so long counts as lost. Default 30,000; a watch speaks every 5 s. */
  readonly silentMs?: number;
}

/**
 * Makes a Connect transport over `fetch`, for clients of one's own. Calls whose requests are streams
 * do not work over it.
 *
 * ```ts
 * const address = "http://127.0.0.1:7377";
 * const transport = createWebTransport({ address, interceptors: [], defaultTimeoutMs: 60_000 });
 * const events = createClient(EventService, transport);
 * ```
 */
export function createWebTransport(options: WebTransportOptions): ClosableTransport {
  const { address, interceptors, defaultTimeoutMs, silentMs = 30_000 } = options;
  const inner = createConnectTransport({
    baseUrl: address,
    useBinaryFormat: true,
    interceptors: [
      ...interceptors,
      endSilentStreams({ address, silentMs }),
      connectionErrors(address),
    ],
  });
  return new WebTransport(inner, defaultTimeoutMs);
}

class WebTransport implements ClosableTransport {
  readonly #inner: Transport;
  readonly #defaultTimeoutMs: number;
  readonly #closed = new AbortController();

  constructor(inner: Transport, defaultTimeoutMs: number) {
    this.#inner = inner;
    this.#defaultTimeoutMs = defaultTimeoutMs;
  }

  unary: Transport["unary"] = (method, signal, timeoutMs, header, message, values) => {
    const limitMs = timeoutMs ?? this.#defaultTimeoutMs;
    const contextValues = withDeadline(values, limitMs);
    return this.#inner.unary(method, this.#any(signal), limitMs, header, message, contextValues);
  };

  stream: Transport["stream"] = (method, signal, timeoutMs, header, input, values) => {
    const contextValues = withDeadline(values, timeoutMs);
    return this.#inner.stream(method, this.#any(signal), timeoutMs, header, input, contextValues);
  };

  close(): void {
    this.#closed.abort(closedError());
  }

  #any(signal: AbortSignal | undefined): AbortSignal {
    const { signal: closed } = this.#closed;
    return signal === undefined ? closed : AbortSignal.any([signal, closed]);
  }
}

function withDeadline(
  values: CallOptions["contextValues"] = createContextValues(),
  limitMs: number | undefined,
) {
  return values.set(deadlineKey, limitMs ? Date.now() + limitMs : Number.POSITIVE_INFINITY);
}
