import type { ClientReadableStream } from "@grpc/grpc-js";

/** Reads a stream until `onMessage` says that nothing more is wanted, and cancels it then. */
export function readStream<T>(
  stream: ClientReadableStream<T>,
  onMessage: (message: T) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on("data", (message: T) => {
      if (onMessage(message)) return;
      resolve();
      stream.cancel();
    });
    // Cancelling ends a stream with an error, too.
    stream.on("error", reject);
    stream.on("end", () => reject(new Error("the stream ended early")));
  });
}
