import { once } from "node:events";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { ConnectError, type StreamRequest, type StreamResponse } from "@connectrpc/connect";
import type { Client, ClientDuplexStream, Metadata, ServiceError } from "@grpc/grpc-js";
import { deadlineKey } from "./deadline.ts";
import { addToHeaders, toMetadata } from "./metadata.ts";
import { deserializer, pathOf, serializer } from "./method.ts";
import type { OpenCalls } from "./open-calls.ts";

/**
 * Opens a stream over the channel. Resolves with the response headers, before the first message.
 *
 * All kinds of streams are alike on the wire, so one kind of grpc-js call serves them all. Messages
 * are pulled: the channel reads ahead at most 16 of them. Throws ConnectError.
 */
export async function streamCall<I extends DescMessage, O extends DescMessage>(
  { client, calls }: { client: Client; calls: OpenCalls },
  req: StreamRequest<I, O>,
): Promise<StreamResponse<I, O>> {
  calls.assertOpen();
  const { method } = req;
  const call = client.makeBidiStreamRequest(
    pathOf(method),
    serializer(method.input),
    deserializer(method.output),
    toMetadata(req.header),
    { deadline: req.contextValues.get(deadlineKey) },
  );
  const header = new Headers();
  const trailer = new Headers();
  const failure: Failure = {};
  const over = new AbortController();
  const done = calls.track(() => call.cancel(), req.signal);
  const opened = new Promise<void>((resolve) => {
    call.on("metadata", (metadata: Metadata) => {
      addToHeaders(header, metadata);
      resolve();
    });
    // Stays attached: an error without a listener would end the process.
    call.on("error", (error: ServiceError | Error) => {
      // A reader that leaves early destroys the stream with an error that is no status.
      failure.error ??= "metadata" in error ? calls.failure(error) : ConnectError.from(error);
    });
    call.on("status", (status: { metadata: Metadata }) => {
      done();
      over.abort();
      addToHeaders(trailer, status.metadata);
      resolve();
    });
  });
  void send(call, req, { failure, over: over.signal });
  await opened;
  if (failure.error !== undefined) throw failure.error;
  const message = receive<MessageShape<O>>(call, failure);
  return { stream: true, service: req.service, method, header, message, trailer };
}

/** Why the stream failed, if it did: the first reason counts. */
interface Failure {
  error?: ConnectError;
}

/**
 * Writes the request's messages, waiting whenever the channel is full, until the call is `over`: a
 * server may answer, or refuse, before it has heard all of them.
 */
async function send<I extends DescMessage, O extends DescMessage>(
  call: ClientDuplexStream<MessageShape<I>, MessageShape<O>>,
  req: StreamRequest<I, O>,
  { failure, over }: { failure: Failure; over: AbortSignal },
): Promise<void> {
  const signal = AbortSignal.any([req.signal, over]);
  try {
    for await (const message of req.message) {
      if (over.aborted) return;
      if (!call.write(message)) await once(call, "drain", { signal });
    }
    call.end();
  } catch (error) {
    if (over.aborted) return;
    failure.error ??= ConnectError.from(error);
    call.cancel();
  }
}

/** Yields the response's messages and throws what the stream failed with. */
async function* receive<T>(
  call: ClientDuplexStream<never, T>,
  failure: Failure,
): AsyncGenerator<T> {
  try {
    yield* call as AsyncIterable<T>;
  } catch (error) {
    failure.error ??= ConnectError.from(error);
  } finally {
    call.cancel();
  }
  if (failure.error !== undefined) throw failure.error;
}
