import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";
import { isTransient } from "../retry/transient.ts";
import { ServerUnavailableError } from "./client-errors.ts";
import { CallAbandonedError, errorByReason } from "./server-errors.ts";
import { type CodeName, SessiondError } from "./sessiond-error.ts";
import { unsendable } from "./unsendable.ts";

/** What a call was about, for the error it fails with. */
export interface CallSubject {
  readonly sessionId?: string;
  readonly requestId?: string;
}

/**
 * Turns what a Connect client threw into the error class of its reason.
 *
 * Anything that is no ConnectError is returned as it is.
 *
 * ```ts
 * try {
 *   await sessiond.clients.sessions.getSession({ sessionId: "user-42" });
 * } catch (error) {
 *   throw fromConnectError(error, { sessionId: "user-42" });
 * }
 * ```
 */
export function fromConnectError(error: unknown, subject: CallSubject = {}): unknown {
  if (!(error instanceof ConnectError)) return error;
  if (error.cause instanceof SessiondError) return error.cause;
  const [info] = error.findDetails(ErrorInfoSchema);
  // The server gives every error a reason, so one without was made here, maybe before anything was sent.
  const unsent = info === undefined ? unsendable(error) : undefined;
  if (unsent !== undefined) return unsent;
  const details = info?.metadata ?? {};
  const { session_id: sessionId = subject.sessionId, request_id: serverRequestId } = details;
  // The id that makes a retry safe is the one that was sent; the server may name one of its own.
  const { requestId = serverRequestId } = subject;
  return new (classOf(error.code, info?.reason))({
    message: error.rawMessage,
    code: codeNames[error.code],
    details,
    retryable: isTransient(error),
    cause: error,
    ...(info === undefined ? {} : { reason: info.reason }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(requestId === undefined ? {} : { requestId }),
  });
}

/** A status without a reason was made on this side of the wire, or by something in between. */
function classOf(code: Code, reason: string | undefined): typeof SessiondError {
  if (reason !== undefined) return isKnown(reason) ? errorByReason[reason] : SessiondError;
  if (code === Code.Canceled || code === Code.DeadlineExceeded) return CallAbandonedError;
  return code === Code.Unavailable ? ServerUnavailableError : SessiondError;
}

function isKnown(reason: string): reason is keyof typeof errorByReason {
  return Object.hasOwn(errorByReason, reason);
}

const codeNames = {
  [Code.Canceled]: "CANCELLED",
  [Code.Unknown]: "UNKNOWN",
  [Code.InvalidArgument]: "INVALID_ARGUMENT",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "NOT_FOUND",
  [Code.AlreadyExists]: "ALREADY_EXISTS",
  [Code.PermissionDenied]: "PERMISSION_DENIED",
  [Code.ResourceExhausted]: "RESOURCE_EXHAUSTED",
  [Code.FailedPrecondition]: "FAILED_PRECONDITION",
  [Code.Aborted]: "ABORTED",
  [Code.OutOfRange]: "OUT_OF_RANGE",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.DataLoss]: "DATA_LOSS",
  [Code.Unauthenticated]: "UNAUTHENTICATED",
} satisfies Record<Code, CodeName>;
