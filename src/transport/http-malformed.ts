import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { undecodable } from "./errors.ts";
import { endWithError, refused, sendError } from "./http-error.ts";

// Answers to what node:http does not give to the request listener: by itself it would say nothing.

/** Answers bytes that are no HTTP request, or one that is too slow, and closes the connection. */
export function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  endWithError(socket, undecodable("it is not HTTP/1.1", error), statusOf(error.code));
}

/** Answers CONNECT, which asks for a tunnel, and closes the connection. */
export function onConnect({ method = "" }: IncomingMessage, socket: Duplex): void {
  endWithError(socket, refused("method", method, "is not served, this is no proxy; use POST"), 400);
}

/** Answers a request whose `Expect` header asks for something else than `100-continue`. */
export function answerExpectation(request: IncomingMessage, response: ServerResponse): void {
  const { expect = "" } = request.headers;
  sendError(request, response, refused("expect", expect, "cannot be met; leave it out"), 417);
}

function statusOf(code: string | undefined): number {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return 431;
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return 408;
    default:
      return 400;
  }
}
