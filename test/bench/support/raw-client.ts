import { create, type DescMethodUnary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ChannelCredentials, Client, type ClientReadableStream } from "@grpc/grpc-js";
import { EventService, WatchEventsRequestSchema } from "@sessiond/contract";

const identity = (bytes: Buffer) => bytes;
const watchPath = pathOf(EventService.method.watchEvents);

export type WatchRequest = MessageInitShape<typeof WatchEventsRequestSchema>;

/**
 * A gRPC client that sends bytes made beforehand and leaves answers as bytes, so that a benchmark
 * measures the server and not its own encoding.
 */
export class RawClient {
  readonly #client: Client;

  constructor(address: string) {
    // Its own connection: channels to one address would otherwise share one.
    this.#client = new Client(address, ChannelCredentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
    });
  }

  call(path: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path, identity, identity, request, (error, answer) => {
        if (error) reject(error);
        else resolve(answer ?? Buffer.alloc(0));
      });
    });
  }

  watch(request: WatchRequest): ClientReadableStream<Buffer> {
    const message = create(WatchEventsRequestSchema, request);
    const bytes = Buffer.from(toBinary(WatchEventsRequestSchema, message));
    return this.#client.makeServerStreamRequest(watchPath, identity, identity, bytes);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** Path of a call, as HTTP/2 carries it. */
export function pathOf(
  method: Pick<DescMethodUnary, "name"> & { readonly parent: { readonly typeName: string } },
): string {
  return `/${method.parent.typeName}/${method.name}`;
}
