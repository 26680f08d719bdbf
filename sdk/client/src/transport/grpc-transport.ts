import type {
  DescMessage,
  DescMethodStreaming,
  DescMethodUnary,
  MessageInitShape,
} from "@bufbuild/protobuf";
import {
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamResponse,
  type UnaryResponse,
} from "@connectrpc/connect";
import { createMethodUrl, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import type { ChannelOptions, Client } from "@grpc/grpc-js";
import { createChannel } from "./channel.ts";
import type { ClosableTransport } from "./closable-transport.ts";
import { deadlineKey } from "./deadline.ts";
import { OpenCalls } from "./open-calls.ts";
import { streamCall } from "./stream-call.ts";
import { unaryCall } from "./unary-call.ts";

export interface GrpcTransportOptions {
  /** `host:port` or `unix:/path`. */
  readonly address: string;
  /** Wrap every call; the first is the outermost. Default: none. */
  readonly interceptors?: readonly Interceptor[];
  /**
   * Time limit of unary calls that name none; 0: no limit. Default: no limit.
   *
   * Streams have no default, because a watch is open as long as it is wanted.
   */
  readonly defaultTimeoutMs?: number;
  /** Options of the grpc-js channel that differ from the client's own. */
  readonly channelOptions?: ChannelOptions;
}

/**
 * Makes a Connect transport that speaks gRPC over a grpc-js channel, so that the typed clients of
 * Connect get `unix:` addresses, keepalive and the faster of the two gRPC stacks.
 *
 * The channel connects with the first call, and again when the connection was lost. A slow reader
 * of a stream holds at most 16 messages; the rest waits in the server.
 *
 * ```ts
 * const transport = createGrpcTransport({ address: "unix:/run/sessiond.sock" });
 * const events = createClient(EventService, transport);
 * ```
 */
export function createGrpcTransport(options: GrpcTransportOptions): ClosableTransport {
  return new GrpcTransport(createChannel(options.address, options.channelOptions), options);
}

class GrpcTransport implements ClosableTransport {
  readonly #client: Client;
  readonly #calls: OpenCalls;
  readonly #interceptors: Interceptor[];
  readonly #defaultTimeoutMs: number | undefined;

  constructor(client: Client, options: GrpcTransportOptions) {
    this.#client = client;
    this.#calls = new OpenCalls(options.address);
    this.#interceptors = [...(options.interceptors ?? [])];
    this.#defaultTimeoutMs = options.defaultTimeoutMs;
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersLike,
    message: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const limits = { signal, timeoutMs: timeoutMs ?? this.#defaultTimeoutMs };
    return runUnaryCall({
      ...this.#run(limits),
      req: { stream: false, message, ...describe(method, limits, header, contextValues) },
      next: (req) => unaryCall({ client: this.#client, calls: this.#calls }, req),
    });
  }

  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersLike,
    message: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    const limits = { signal, timeoutMs };
    return runStreamingCall({
      ...this.#run(limits),
      req: { stream: true, message, ...describe(method, limits, header, contextValues) },
      next: (req) => streamCall({ client: this.#client, calls: this.#calls }, req),
    });
  }

  close(): void {
    this.#calls.close();
    this.#client.close();
  }

  /** What Connect wants to know to run a call: an absent field and undefined differ there. */
  #run({ signal, timeoutMs }: CallLimits) {
    return {
      interceptors: this.#interceptors,
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs ? { timeoutMs } : {}),
    };
  }
}

type HeadersLike = ConstructorParameters<typeof Headers>[0];

interface CallLimits {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
}

/** The parts of a request that unary calls and streams share. */
function describe<Method extends DescMethodUnary | DescMethodStreaming>(
  method: Method,
  { timeoutMs }: CallLimits,
  header: HeadersLike,
  contextValues: ContextValues = createContextValues(),
) {
  // Always set, because the caller may use the same values for a call without a limit.
  const deadline = timeoutMs ? Date.now() + timeoutMs : Number.POSITIVE_INFINITY;
  contextValues.set(deadlineKey, deadline);
  return {
    method,
    service: method.parent,
    requestMethod: "POST",
    url: createMethodUrl("http://sessiond", method),
    header: new Headers(header),
    contextValues,
  };
}
