import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ContextService, EventService, SessionService } from "@sessiond/contract";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";

/** Nothing here takes as long; without a bound a lost answer would hang the run. */
const callTimeoutMs = 20_000;

/** Clients of one server, by both front doors. They retry nothing. Disposing ends open calls of gRPC. */
export interface Connection extends Disposable {
  /** gRPC, over HTTP/2. */
  readonly grpc: Client<typeof EventService>;
  /** Connect, over HTTP/1.1. */
  readonly http: Client<typeof EventService>;
  readonly sessions: Client<typeof SessionService>;
  readonly context: Client<typeof ContextService>;
}

export function connect(address: string): Connection {
  const grpc = createGrpcTransport({
    address,
    defaultTimeoutMs: callTimeoutMs,
    channelOptions: { "grpc.enable_retries": 0 },
  });
  const http = createConnectTransport({
    baseUrl: `http://${address}`,
    httpVersion: "1.1",
    defaultTimeoutMs: callTimeoutMs,
  });
  return {
    grpc: createClient(EventService, grpc),
    http: createClient(EventService, http),
    sessions: createClient(SessionService, http),
    context: createClient(ContextService, http),
    [Symbol.dispose]: () => grpc.close(),
  };
}

/** What a failed call says about its effect. */
export type FailureKind =
  | { readonly kind: "refused"; readonly reason: string }
  /** The server is gone or about to go, or does not know: the call may have had its effect. */
  | { readonly kind: "unknown"; readonly why: string };

/**
 * Sorts a failure by what it says about the effect of an append.
 *
 * Errors: for anything a correct server would not answer to these calls.
 */
export function failureKind(error: unknown): FailureKind {
  const failure = ConnectError.from(error);
  const reason = failure.findDetails(ErrorInfoSchema)[0]?.reason;
  if (reason === "REVISION_CONFLICT") return { kind: "refused", reason };
  const isEnding = reason === "COMMIT_UNKNOWN" || reason === "SHUTTING_DOWN";
  // What a broken connection becomes differs by transport and by the moment it breaks.
  const isOfConnection = [
    Code.Unavailable,
    Code.Aborted,
    Code.Canceled,
    Code.Internal,
    Code.Unknown,
  ];
  if (!isEnding && (reason !== undefined || !isOfConnection.includes(failure.code))) {
    throw new Error(`a call failed with ${reason ?? "no reason"}`, { cause: error });
  }
  return { kind: "unknown", why: failure.message };
}
