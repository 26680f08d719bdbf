import { once } from "node:events";
import {
  constants,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { ServerUnavailableError } from "@sessiond/client";
import { GetSessionResponseSchema } from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { quickClient } from "./support/client.ts";

/** How many streams are refused before one is answered. */
let refusals: number;
let streams: number;
let server: Http2Server;
let address: string;
const connections = new Set<ServerHttp2Session>();

beforeEach(async () => {
  streams = 0;
  server = createServer();
  server.on("session", (connection) => connections.add(connection));
  server.on("stream", (stream) => {
    streams += 1;
    // Closing a stream with a code is an error on this side too.
    stream.on("error", () => {});
    if (streams <= refusals) stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else answer(stream);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const connection of connections) connection.destroy();
  connections.clear();
  await new Promise((resolve) => server.close(resolve));
});

test("a stream the server refused is opened again until it is taken", async () => {
  refusals = 3;
  await using sessiond = quickClient(address);
  const session = await sessiond.sessions.get("user-42");
  expect(session.title).toBe("answered");
  expect(streams).toBe(4);
});

test("a server that refuses every stream takes no calls for now, which may be retried", async () => {
  refusals = Number.POSITIVE_INFINITY;
  await using sessiond = quickClient(address);
  const error = await sessiond.sessions.get("user-42").catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ServerUnavailableError);
  expect(error).toMatchObject({
    message: `sessiond at ${address} takes no calls for now`,
    retryable: true,
  });
});

/** Answers a GetSession by hand: gRPC's five bytes before the message, its status in the trailers. */
function answer(stream: ServerHttp2Stream): void {
  const message = toBinary(
    GetSessionResponseSchema,
    create(GetSessionResponseSchema, { session: { sessionId: "user-42", title: "answered" } }),
  );
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(Buffer.concat([prefix, message]));
}
