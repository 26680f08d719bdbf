import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  contentTypeStreamRegExp,
  endStreamFlag,
  endStreamToJson,
  errorToJson,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { failure } from "./errors.ts";

/** Error for a part of a request's head, such as its method, that is not served as it is. */
export function refused(part: string, value: string, what: string): ConnectError {
  const description = `"${value.slice(0, 100)}" ${what}`;
  return failure({
    reason: "INVALID_FIELD",
    message: `${part} ${description}`,
    details: { field: part },
    violations: [{ field: part, description }],
  });
}

/**
 * Answers a request with an error before any library has seen it, in the form its protocol expects:
 * the last frame of a Connect stream, headers for gRPC-Web, else JSON with an HTTP status.
 *
 * The rest of the request is read and dropped: closing with bytes unread would reset the
 * connection, and the client might never see the answer.
 *
 * `status` is for those that say more than the one of the error's code, which is the default.
 */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: ConnectError,
  status: number = codeToHttpStatus(error.code),
): void {
  const contentType = request.headers["content-type"] ?? "";
  request.resume();
  if (contentTypeStreamRegExp.test(contentType)) {
    const end = JSON.stringify(endStreamToJson(new Headers(), error, undefined));
    response.writeHead(200, { "content-type": contentType });
    response.end(encodeEnvelope(endStreamFlag, Buffer.from(end)));
    return;
  }
  if (contentType.startsWith("application/grpc-web")) {
    const trailer = setTrailerStatus(new Headers(), error);
    response.writeHead(200, { "content-type": contentType, ...Object.fromEntries(trailer) });
    response.end();
    return;
  }
  response.writeHead(status, { "content-type": "application/json" });
  response.end(bodyOf(error));
}

/** Answers where node:http gives a bare connection and no response, and closes the connection. */
export function endWithError(socket: Duplex, error: ConnectError, status: number): void {
  const body = bodyOf(error);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
      "connection: close\r\ncontent-type: application/json\r\n" +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  // The peer may keep its side open; nothing it sends will be read.
  socket.once("finish", () => socket.destroy());
}

function bodyOf(error: ConnectError): string {
  return `${errorText(error)}\n`;
}

/** An error as JSON in one line, in Connect's form. */
export function errorText(error: ConnectError): string {
  return JSON.stringify(errorToJson(error, undefined));
}
