import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  createAsyncIterable,
  encodeEnvelope,
  type UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  errorFromJsonBytes,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { type Defect, failure, toConnectError } from "./errors.ts";

type Body = AsyncIterable<Uint8Array>;
type OnDefect = (defect: Defect) => void;

/**
 * Gives reasons to the errors of unary calls that connect-es makes before it calls interceptors:
 * requests that cannot be decoded, are too large, or have a wrong content type.
 *
 * Errors that have details already, and answers that are no errors, pass unchanged.
 */
export async function explain(
  response: UniversalServerResponse,
  method: DescMethod,
  onDefect: OnDefect,
): Promise<UniversalServerResponse> {
  if (response.status >= 400) {
    return explainConnect(response, method, onDefect);
  }
  const isGrpcWeb = response.header?.get("content-type")?.startsWith("application/grpc-web");
  return isGrpcWeb && method.methodKind === "unary" && response.body !== undefined
    ? { ...response, body: explainGrpcWeb(response.body, onDefect) }
    : response;
}

async function explainConnect(
  response: UniversalServerResponse,
  method: DescMethod,
  onDefect: OnDefect,
): Promise<UniversalServerResponse> {
  const bytes = response.body === undefined ? undefined : await readAll(response.body);
  const error =
    bytes === undefined
      ? refused(response.status, method)
      : errorFromJsonBytes(bytes, undefined, new ConnectError("unreadable error", Code.Internal));
  const explained = toConnectError(error, onDefect);
  const body = errorToJsonBytes(explained, undefined);
  const header = new Headers(response.header);
  header.set("content-type", "application/json");
  header.set("content-length", String(body.byteLength));
  // 415 and 405 say more than the status of their code would.
  const status = bytes === undefined ? response.status : codeToHttpStatus(explained.code);
  return { ...response, status, header, body: createAsyncIterable([body]) };
}

/** Statuses that connect-es sends without a word. */
function refused(status: number, method: DescMethod): ConnectError {
  return status === 415
    ? failure({
        reason: "NOT_SUPPORTED",
        message:
          method.methodKind === "unary"
            ? "the content-type is not served; send application/json or application/proto"
            : `${method.name} is a stream; send application/connect+json, application/connect+proto, or gRPC`,
      })
    : failure({
        reason: "NOT_SUPPORTED",
        message: `the request is not served by ${method.name} (HTTP ${status}); send it with POST`,
      });
}

async function* explainGrpcWeb(body: Body, onDefect: OnDefect): AsyncGenerator<Uint8Array> {
  let first = true;
  for await (const chunk of body) {
    // A unary answer that begins with trailers is an error. Frames come one by one.
    if (first && ((chunk[0] ?? 0) & trailerFlag) !== 0) {
      const trailer = trailerParse(chunk.subarray(5));
      const error = findTrailerError(trailer);
      if (error !== undefined && error.details.length === 0) {
        const explained = setTrailerStatus(new Headers(), toConnectError(error, onDefect));
        yield encodeEnvelope(trailerFlag, trailerSerialize(explained));
        return;
      }
    }
    first = false;
    yield chunk;
  }
}

async function readAll(body: Body): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
