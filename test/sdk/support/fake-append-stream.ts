import { create } from "@bufbuild/protobuf";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import {
  AppendEventsRequestSchema,
  type AppendStreamRequest,
  type AppendStreamResponse,
  AppendStreamResponseSchema,
} from "@sessiond/contract";
import type { FakeStore } from "./fake-store.ts";

export type AppendStream = ServerDuplexStream<AppendStreamRequest, AppendStreamResponse>;

/** Answers each batch as it comes; the first that fails ends the stream with its error. */
export function serveAppends(store: FakeStore, stream: AppendStream): void {
  stream.on("data", ({ append = create(AppendEventsRequestSchema) }: AppendStreamRequest) => {
    try {
      stream.write(create(AppendStreamResponseSchema, { append: store.appendEvents(append) }));
    } catch (error) {
      stream.emit("error", error);
    }
  });
  stream.on("end", () => stream.end());
}
