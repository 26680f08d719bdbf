import type { DescMethod, DescMethodUnary, Message } from "@bufbuild/protobuf";
import { Code, type ConnectError, type MethodImplSpec } from "@connectrpc/connect";
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type Server,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerWritableStream,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import type { CallObserver } from "./call-observer.ts";
import type { Calls } from "./calls.ts";
import { abandoned, type Defect, toConnectError } from "./errors.ts";
import { type Decoded, decoded, decoder, encoder, readable, sharedEncoder } from "./grpc-codec.ts";
import { GrpcContext } from "./grpc-context.ts";
import { type GrpcStatus, toGrpcStatus } from "./grpc-status.ts";
import { pump } from "./grpc-stream.ts";
import type { Route } from "./routes.ts";

/** What the gRPC front door needs from its server. */
export interface GrpcAdapterOptions {
  readonly calls: Calls;
  readonly onDefect: (defect: Defect) => void;
  /** Hears of every call. Absent: nobody does. */
  readonly observe?: CallObserver | undefined;
}

type Kind<K extends MethodImplSpec["kind"]> = Extract<MethodImplSpec, { kind: K }>;
type Input = Decoded<DescMethodUnary["input"]>;

/** Adds a service to a grpc-js server. Its errors leave with their reasons. */
export function addToGrpcServer(server: Server, route: Route, options: GrpcAdapterOptions): void {
  const { methods } = route.spec;
  const specs = Object.entries(methods);
  server.addService(
    Object.fromEntries(specs.map(([name, spec]) => [name, definitionOf(spec.method)])),
    Object.fromEntries(specs.map(([name, spec]) => [name, handlerOf(spec, options)])),
  );
}

/** Paths of all calls of a service. */
export function pathsOf(route: Route): string[] {
  return route.spec.service.methods.map(pathOf);
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

// Handlers encode, so that a failure becomes an error with a reason; here bytes pass through.
function definitionOf(method: DescMethod): MethodDefinition<unknown, Buffer> {
  const { methodKind } = method;
  return {
    path: pathOf(method),
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: unused,
    requestDeserialize: decoder(method.input),
    responseSerialize: (bytes) => bytes,
    responseDeserialize: unused,
  };
}

function unused(): never {
  throw new Error("this side only serves");
}

function handlerOf(spec: MethodImplSpec, options: GrpcAdapterOptions): UntypedHandleCall {
  switch (spec.kind) {
    case "unary":
      return unary(spec, options);
    case "server_streaming":
      return serverStreaming(spec, options);
    case "bidi_streaming":
      return bidiStreaming(spec, options);
    case "client_streaming":
      return clientStreaming(spec, options);
  }
}

function unary(spec: Kind<"unary">, options: GrpcAdapterOptions): handleUnaryCall<Input, Buffer> {
  const { method, impl } = spec;
  const { calls, observe } = options;
  const encode = encoder(method.output);
  return async (call, callback) => {
    const ended = observe?.(method, "unary", readable(call.request));
    try {
      calls.begin("unary");
    } catch (error) {
      callback(statusOf(error, options, ended));
      return;
    }
    try {
      await calls.turn();
      const context = new GrpcContext(call, method);
      const bytes = encode(await impl(decoded(call.request), context));
      const header = context.headerToSend;
      if (header !== undefined) {
        call.sendMetadata(header);
      }
      callback(null, bytes, context.trailerToSend);
      ended?.();
    } catch (error) {
      callback(statusOf(error, options, ended));
    } finally {
      calls.end("unary");
    }
  };
}

function clientStreaming(
  spec: Kind<"client_streaming">,
  options: GrpcAdapterOptions,
): handleClientStreamingCall<Input, Buffer> {
  const { method, impl } = spec;
  const { calls, observe } = options;
  const encode = encoder(method.output);
  return async (call, callback) => {
    const ended = observe?.(method, "stream");
    try {
      calls.begin("stream");
    } catch (error) {
      callback(statusOf(error, options, ended));
      return;
    }
    try {
      const context = new GrpcContext(call, method);
      callback(null, encode(await impl(requestsOf(call), context)), context.trailerToSend);
      ended?.();
    } catch (error) {
      callback(statusOf(error, options, ended));
    } finally {
      calls.end("stream");
    }
  };
}

function serverStreaming(
  spec: Kind<"server_streaming">,
  options: GrpcAdapterOptions,
): handleServerStreamingCall<Input, Buffer> {
  const { method, impl } = spec;
  const encode = sharedEncoder(method.output);
  return (call) =>
    respond({ call, method, encode, options }, (context) => impl(decoded(call.request), context));
}

function bidiStreaming(
  spec: Kind<"bidi_streaming">,
  options: GrpcAdapterOptions,
): handleBidiStreamingCall<Input, Buffer> {
  const { method, impl } = spec;
  const encode = encoder(method.output);
  return (call) =>
    respond({ call, method, encode, options }, (context) => impl(requestsOf(call), context));
}

interface Response<T> {
  readonly call: ServerWritableStream<Input, Buffer> | ServerDuplexStream<Input, Buffer>;
  readonly method: DescMethod;
  readonly encode: (value: T) => Buffer;
  readonly options: GrpcAdapterOptions;
}

async function respond<T>(
  { call, method, encode, options }: Response<T>,
  start: (context: GrpcContext) => AsyncIterable<T>,
): Promise<void> {
  const { calls, observe } = options;
  const ended = observe?.(method, "stream", "request" in call ? readable(call.request) : undefined);
  try {
    calls.begin("stream");
  } catch (error) {
    fail(call, statusOf(error, options, ended));
    return;
  }
  try {
    const context = new GrpcContext(call, method);
    const iterator = start(context)[Symbol.asyncIterator]();
    const first = iterator.next();
    // Headers go out before the first message: a client may wait for them to know it is connected.
    call.sendMetadata(context.headerToSend ?? new Metadata());
    await pump({ call, iterator, first, encode });
    call.end(context.trailerToSend);
    ended?.(call.cancelled ? abandoned(Code.Canceled) : undefined);
  } catch (error) {
    fail(call, statusOf(error, options, ended));
  } finally {
    calls.end("stream");
  }
}

/** How grpc-js wants a stream to fail: it sends what was written, then the status. */
function fail(call: Response<never>["call"], status: GrpcStatus): void {
  call.emit("error", status);
}

async function* requestsOf(
  call: ServerDuplexStream<Input, Buffer> | ServerReadableStream<Input, Buffer>,
): AsyncGenerator<Message> {
  try {
    // A service that stops reading still wants to answer, so leaving must not destroy the call.
    for await (const request of call.iterator({ destroyOnReturn: false })) {
      yield decoded(request);
    }
  } catch (error) {
    throw call.cancelled ? abandoned(Code.Canceled) : error;
  }
}

function statusOf(
  error: unknown,
  options: GrpcAdapterOptions,
  ended: ((error: ConnectError) => void) | undefined,
): GrpcStatus {
  const connectError = toConnectError(error, options.onDefect);
  ended?.(connectError);
  return toGrpcStatus(connectError);
}
