import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { Code, type ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import {
  type Server,
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  status,
} from "@grpc/grpc-js";
import { ShuttingDownError } from "../errors.ts";
import type { Calls } from "./calls.ts";
import { abandoned, failure, requestTooLarge, toConnectError } from "./errors.ts";
import { statusDetails, toGrpcStatus } from "./grpc-status.ts";

/** Health and reflection: services that grpc-js keeps itself. */
const STANDARD_PREFIX = "/grpc.";
const HEALTH_PREFIX = "/grpc.health.v1.Health/";

export interface GateOptions {
  readonly calls: Calls;
  /** Paths of the calls that are served, beside health and reflection. */
  readonly paths: ReadonlySet<string>;
}

/**
 * Puts a gate before a grpc-js server that sees the headers of every call first.
 *
 * It refuses what grpc-js would misread or answer without a word: gRPC-Web (taken for gRPC),
 * Connect and JSON (a bare 415), compressed requests, unknown calls, and new calls during a shutdown.
 * It also stops calls that were reset before they are looked at: grpc-js would answer an unknown
 * one all the same, and that throws where nobody catches it.
 *
 * It replaces the private method in which grpc-js checks the content type. A server interceptor
 * cannot do this: the content type is removed before interceptors see the headers.
 */
export function installGate(server: Server, options: GateOptions): void {
  const hook = "_verifyContentType";
  if (typeof Reflect.get(server, hook) !== "function") {
    throw new Error(`this version of grpc-js has no ${hook}; the gate needs another place`);
  }
  Reflect.set(server, hook, (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean => {
    if (stream.destroyed || stream.closed) {
      return false;
    }
    const refusal = refusalOf(headers, options);
    if (refusal === undefined) {
      return true;
    }
    stream.respond(refusal.headers, { endStream: refusal.body === undefined });
    if (refusal.body !== undefined) {
      stream.end(refusal.body);
    }
    // What the client still sends is read and dropped, or it would hold the connection's window.
    stream.resume();
    return false;
  });
}

interface Refusal {
  readonly headers: Record<string, string | number>;
  readonly body?: string;
}

function refusalOf(headers: IncomingHttpHeaders, options: GateOptions): Refusal | undefined {
  const contentType = headers["content-type"] ?? "";
  if (!isGrpc(contentType)) {
    return contentType.startsWith("application/grpc-web")
      ? trailersOnly(wrongTransport("gRPC-Web"), contentType)
      : json(wrongTransport(contentType === "" ? "a request without content-type" : contentType));
  }
  const encoding = headers["grpc-encoding"] ?? "identity";
  if (encoding !== "identity") {
    return trailersOnly(
      failure({
        reason: "NOT_SUPPORTED",
        message: `requests compressed with ${encoding} are not taken; send them uncompressed`,
      }),
    );
  }
  const path = headers[":path"] ?? "";
  if (options.calls.closed && !path.startsWith(HEALTH_PREFIX)) {
    return trailersOnly(toConnectError(new ShuttingDownError(), () => {}));
  }
  if (!options.paths.has(path) && !path.startsWith(STANDARD_PREFIX)) {
    const message = `nothing is served at ${path.slice(0, 200)}; reflection lists the calls`;
    return trailersOnly(failure({ reason: "NOT_SUPPORTED", message }));
  }
  return undefined;
}

function isGrpc(contentType: string): boolean {
  const type = contentType.split(";", 1)[0]?.trim().toLowerCase();
  return type === "application/grpc" || type === "application/grpc+proto";
}

function wrongTransport(what: string): ConnectError {
  return failure({
    reason: "WRONG_TRANSPORT",
    message: `${what} is not served over plaintext HTTP/2, which means gRPC here; send it over HTTP/1.1`,
  });
}

function trailersOnly(error: ConnectError, contentType = "application/grpc+proto"): Refusal {
  return {
    headers: {
      ":status": 200,
      "content-type": contentType,
      "grpc-accept-encoding": "identity",
      "grpc-status": error.code,
      "grpc-message": encodeURI(error.rawMessage),
      "grpc-status-details-bin": statusDetails(error).toString("base64"),
    },
  };
}

function json(error: ConnectError): Refusal {
  return {
    headers: { ":status": 415, "content-type": "application/json" },
    body: JSON.stringify(errorToJson(error, undefined)),
  };
}

/**
 * Gives a reason to the errors that grpc-js makes itself: messages above the limit, deadlines.
 *
 * An interceptor in form, but it wraps only the one method, because a full interceptor costs every
 * message of every call.
 */
export function explainStatuses(requestBytes: number) {
  return (_method: unknown, call: ServerInterceptingCallInterface): ServerInterceptingCall => {
    const sendStatus = call.sendStatus;
    call.sendStatus = (sent) => {
      const error = sent.metadata ? undefined : errorOf(sent.code ?? status.UNKNOWN, requestBytes);
      sendStatus.call(call, error === undefined ? sent : toGrpcStatus(error));
    };
    // grpc-js calls nothing on the result that the call does not have.
    return call as ServerInterceptingCall;
  };
}

function errorOf(code: number, requestBytes: number): ConnectError | undefined {
  switch (code) {
    case status.RESOURCE_EXHAUSTED:
      return requestTooLarge(requestBytes);
    case status.DEADLINE_EXCEEDED:
      return abandoned(Code.DeadlineExceeded);
    default:
      return undefined;
  }
}
