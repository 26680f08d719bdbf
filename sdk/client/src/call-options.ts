import type { CallOptions as ConnectCallOptions } from "@connectrpc/connect";

/** Options of every call. */
export interface CallOptions {
  /** Gives the call up. A write may still take effect. */
  readonly signal?: AbortSignal | undefined;
  /** Time the call may take with all its retries; 0: no limit. Default: the client's. */
  readonly timeoutMs?: number | undefined;
}

/** W3C trace context, as in the headers `traceparent` and `tracestate`. */
export interface TraceInput {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

/** Options of every call that changes something. */
export interface WriteOptions extends CallOptions {
  /**
   * Id of the request, up to 200 bytes. Default: a fresh UUID, kept over retries.
   *
   * Give your own to make a call repeatable across restarts of your process: within 24 hours the
   * same id with the same content has one effect and the first answer.
   */
  readonly requestId?: string | undefined;
  /**
   * The span of yours that the call is part of. Calls that append, create, fork, reopen, end or cancel
   * put it on their events that have no `trace` of their own. Default: none. To send that of every call,
   * give the client an interceptor that writes the headers.
   */
  readonly trace?: TraceInput | undefined;
}

/** The options as Connect wants them: there, absent and undefined differ. */
export function toConnectOptions({
  signal,
  timeoutMs,
  trace,
}: CallOptions & Pick<WriteOptions, "trace">): ConnectCallOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(trace === undefined ? {} : { headers: toHeaders(trace) }),
  };
}

function toHeaders({ traceparent, tracestate = "" }: TraceInput): Record<string, string> {
  return tracestate === "" ? { traceparent } : { traceparent, tracestate };
}
