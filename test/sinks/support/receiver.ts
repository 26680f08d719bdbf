import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A request as it came, with its whole body. */
export interface Posted {
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** What a receiver does with a request. */
export type Answer = (posted: Posted, response: ServerResponse) => void;

/** A real HTTP server on a free port, until the test is over. */
export async function openReceiver() {
  const posted: Posted[] = [];
  const receiver = {
    posted,
    url: "",
    /** Default: 204. */
    answer: ((_posted, response) => void response.writeHead(204).end()) as Answer,
  };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const one = { headers: request.headers, body: Buffer.concat(chunks).toString() };
    posted.push(one);
    receiver.answer(one, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return receiver;
}
