import type { IncomingMessage, ServerResponse } from "node:http";
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

/**
 * Answers a request with an error before any library has seen it, in the form its protocol expects:
 * the last frame of a Connect stream, headers for gRPC-Web, else JSON with an HTTP status.
 *
 * The rest of the request is read and dropped: closing with bytes unread would reset the
 * connection, and the client might never see the answer.
 */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: ConnectError,
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
    const status = setTrailerStatus(new Headers(), error);
    response.writeHead(200, { "content-type": contentType, ...Object.fromEntries(status) });
    response.end();
    return;
  }
  response.writeHead(codeToHttpStatus(error.code), { "content-type": "application/json" });
  response.end(`${JSON.stringify(errorToJson(error, undefined))}\n`);
}
