import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { undecodable } from "./errors.ts";

/** Answers bytes that are no HTTP request, or one that is too slow, and closes the connection. */
export function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = statusOf(error.code);
  const body = JSON.stringify(errorToJson(undecodable("it is not HTTP/1.1", error), undefined));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
      "connection: close\r\ncontent-type: application/json\r\n" +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  // The peer may keep its side open; nothing it sends will be read.
  socket.once("finish", () => socket.destroy());
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
