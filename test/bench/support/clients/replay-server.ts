/*
 * A bare grpc-js server that gives every call what another server, named by its address, answered
 * once: GetSession of a session, and a watch of its first events. Prints its address.
 */
import { once } from "node:events";
import { create, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import {
  EventService,
  GetSessionRequestSchema,
  SessionService,
  WatchStart,
} from "@sessiond/contract";
import { pathOf, RawClient } from "../raw-client.ts";
import { watchedEvents } from "../wire.ts";
import { countdown } from "./measured-client.ts";
import { readStream } from "./read-stream.ts";

const [address = "", sessionId = "", events] = process.argv.slice(2);
const getPath = pathOf(SessionService.method.getSession);
const bytes = (message: Buffer) => message;
const definition = (path: string, responseStream: boolean) => ({
  path,
  requestStream: false,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

const messages: Buffer[] = [];
using client = new RawClient(address);
const get = create(GetSessionRequestSchema, { sessionId });
const session = await client.call(getPath, Buffer.from(toBinary(GetSessionRequestSchema, get)));
const more = countdown(Number(events));
await readStream(client.watch({ sessionId, start: WatchStart.BEGINNING }), (message) => {
  messages.push(message);
  return more(watchedEvents(message).length);
});

const server = new Server({ "grpc.enable_channelz": 0 });
server.addService(
  {
    getSession: definition(getPath, false),
    watchEvents: definition(pathOf(EventService.method.watchEvents), true),
  },
  {
    getSession: (_call: unknown, callback: (error: null, answer: Buffer) => void) =>
      callback(null, session),
    watchEvents: replay,
  },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`127.0.0.1:${port}\n`);
});

async function replay(call: ServerWritableStream<Buffer, Buffer>): Promise<void> {
  const cancelled = new AbortController();
  call.once("cancelled", () => cancelled.abort());
  try {
    for (const message of messages) {
      if (call.cancelled) return;
      if (!call.write(message)) await once(call, "drain", { signal: cancelled.signal });
    }
  } catch (error) {
    if (!cancelled.signal.aborted) throw error;
  }
}
