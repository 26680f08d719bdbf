import type { ClientReadableStream } from "@grpc/grpc-js";
import { RawClient, type WatchRequest } from "./raw-client.ts";

export interface OpenWatches extends Disposable {
  readonly streams: readonly ClientReadableStream<Buffer>[];
}

/** Opens watches, spread over some connections, and waits until each has its first message. */
export async function openWatches(args: {
  readonly address: string;
  readonly requests: readonly WatchRequest[];
  /** Default 1. */
  readonly connections?: number;
  /** Called with every message, `index` saying of which watch. */
  readonly onMessage?: (message: Buffer, index: number) => void;
}): Promise<OpenWatches> {
  const { address, requests, connections = 1, onMessage } = args;
  const clients = Array.from({ length: connections }, () => new RawClient(address));
  const streams: ClientReadableStream<Buffer>[] = [];
  const close = () => {
    for (const stream of streams) stream.cancel();
    for (const client of clients) client[Symbol.dispose]();
  };
  let closed = false;
  const open = requests.map((request, index) => {
    const stream = clients[index % connections]?.watch(request);
    if (stream === undefined) throw new Error("there is no connection");
    streams.push(stream);
    return new Promise<void>((resolve, reject) => {
      stream.once("data", resolve);
      stream.on("data", (message: Buffer) => onMessage?.(message, index));
      // Cancelling ends a stream with an error, too.
      stream.on("error", (error) => (closed ? resolve() : reject(error)));
      stream.on("end", () => reject(new Error("a watch ended")));
    });
  });
  await Promise.all(open);
  return {
    streams,
    [Symbol.dispose]() {
      closed = true;
      close();
    },
  };
}
