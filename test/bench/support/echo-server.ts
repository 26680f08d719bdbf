/*
 * The yardstick: a bare grpc-js server that takes the bytes of AppendEvents and gives back as many
 * as it was told to, without decoding, deciding or storing anything. Prints its address.
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { EventService } from "@sessiond/contract";
import { pathOf } from "./raw-client.ts";

const server = new Server({ "grpc.enable_channelz": 0 });
const bytes = (message: Buffer) => message;
const answer = Buffer.alloc(Number(process.argv[2]));

server.addService(
  {
    echo: {
      path: pathOf(EventService.method.appendEvents),
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    },
  },
  {
    echo: (_call: unknown, callback: (error: null, answer: Buffer) => void) =>
      callback(null, answer),
  },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`127.0.0.1:${port}\n`);
});
