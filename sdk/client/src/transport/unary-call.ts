import type { DescMessage } from "@bufbuild/protobuf";
import type { UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import type { Client, Metadata } from "@grpc/grpc-js";
import { deadlineKey } from "./deadline.ts";
import { addToHeaders, toMetadata } from "./metadata.ts";
import { deserializer, pathOf, serializer } from "./method.ts";
import type { OpenCalls } from "./open-calls.ts";

/** Sends one unary request over the channel. Throws ConnectError. */
export async function unaryCall<I extends DescMessage, O extends DescMessage>(
  { client, calls }: { client: Client; calls: OpenCalls },
  req: UnaryRequest<I, O>,
): Promise<UnaryResponse<I, O>> {
  calls.assertOpen();
  const { method } = req;
  const header = new Headers();
  const trailer = new Headers();
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      pathOf(method),
      serializer(method.input),
      deserializer(method.output),
      req.message,
      toMetadata(req.header),
      { deadline: req.contextValues.get(deadlineKey) },
      (error, message) => {
        done();
        if (error !== null) reject(calls.failure(error));
        else if (message !== undefined) {
          resolve({ stream: false, service: req.service, method, header, message, trailer });
        }
      },
    );
    const done = calls.track(() => call.cancel(), req.signal);
    call.on("metadata", (metadata: Metadata) => addToHeaders(header, metadata));
    // Comes right behind the callback, so the trailers are there when the promise is awaited.
    call.on("status", (status: { metadata: Metadata }) => addToHeaders(trailer, status.metadata));
  });
}
