import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@sessiond/contract/rpc";
import { type FieldViolation, InvalidFieldError, type Reason, SessiondError } from "../errors.ts";

/** Domain of every `google.rpc.ErrorInfo` this server sends. */
export const ERROR_DOMAIN = "sessiond.dev";

/** The one place where reasons become codes. `error_reason.proto` documents the same pairs. */
export const codeOfReason = {
  INVALID_FIELD: Code.InvalidArgument,
  SESSION_NOT_FOUND: Code.NotFound,
  SESSION_ALREADY_EXISTS: Code.AlreadyExists,
  SESSION_ENDED: Code.FailedPrecondition,
  SESSION_DELETED: Code.NotFound,
  REVISION_CONFLICT: Code.Aborted,
  ETAG_MISMATCH: Code.Aborted,
  REQUEST_ID_REUSED: Code.AlreadyExists,
  EVENT_TOO_LARGE: Code.InvalidArgument,
  SESSION_LOG_FULL: Code.ResourceExhausted,
  PAGE_TOKEN_INVALID: Code.InvalidArgument,
  CURSOR_INVALID: Code.OutOfRange,
  HISTORY_GONE: Code.OutOfRange,
  TOO_MANY_WATCHES: Code.ResourceExhausted,
  TOO_MANY_CALLS: Code.ResourceExhausted,
  SHUTTING_DOWN: Code.Unavailable,
  WRITES_REFUSED: Code.Unavailable,
  COMMIT_UNKNOWN: Code.Unavailable,
  DATA_LOSS: Code.DataLoss,
  NOT_SUPPORTED: Code.Unimplemented,
  INTERNAL: Code.Internal,
  CALL_ABANDONED: Code.Canceled,
  ORIGIN_REFUSED: Code.PermissionDenied,
  REQUEST_TOO_LARGE: Code.ResourceExhausted,
  WRONG_TRANSPORT: Code.Unimplemented,
  CONTEXT_TOO_LONG: Code.ResourceExhausted,
  PROTECTED_BUDGET_EXCEEDED: Code.ResourceExhausted,
  TOO_MANY_AMENDMENTS: Code.ResourceExhausted,
  COMPACTION_STALE: Code.Aborted,
  COMPACTION_NOT_FOUND: Code.NotFound,
  SUMMARISER_FAILED: Code.FailedPrecondition,
  SESSION_TTL_PASSED: Code.FailedPrecondition,
  SESSION_QUOTA_EXCEEDED: Code.ResourceExhausted,
  NAMESPACE_FULL: Code.ResourceExhausted,
  STATE_TOO_LARGE: Code.ResourceExhausted,
  FILTER_FAILED: Code.InvalidArgument,
  REVISION_OUT_OF_RANGE: Code.OutOfRange,
  REWIND_CROSSES_END: Code.FailedPrecondition,
  CALL_HIDDEN: Code.FailedPrecondition,
  REWINDS_FULL: Code.ResourceExhausted,
  STORE_BUSY: Code.Aborted,
  PARENT_MISMATCH: Code.AlreadyExists,
  TOO_MANY_GENERATIONS: Code.FailedPrecondition,
  IMPORT_INVALID: Code.InvalidArgument,
  CONSUMER_NOT_FOUND: Code.NotFound,
  CONSUMER_EXISTS: Code.AlreadyExists,
  CONSUMER_IN_USE: Code.FailedPrecondition,
  CONSUMER_TAKEN_OVER: Code.Aborted,
  TOO_MANY_CONSUMERS: Code.ResourceExhausted,
} satisfies Record<Reason, Code>;

// Messages and details travel in headers; clients refuse header blocks above 8 KiB.
const MAX_MESSAGE_CHARACTERS = 1_000;
const MAX_VALUE_CHARACTERS = 250;
const MAX_VIOLATIONS = 16;

/** What an answer says about a failure. */
export interface Failure {
  readonly reason: Reason;
  readonly message: string;
  /** Values of `google.rpc.ErrorInfo.metadata`. Default: none. */
  readonly details?: Readonly<Record<string, string>>;
  /** Makes a `google.rpc.BadRequest`. Default: none. */
  readonly violations?: readonly FieldViolation[];
  /** Default: the code of the reason. */
  readonly code?: Code;
  readonly cause?: unknown;
}

/** A defect of the server: the caller sees the id, the log gets both. */
export interface Defect {
  readonly requestId: string;
  readonly cause: unknown;
}

/** Makes an error that carries a reason to the caller. Long texts are cut. */
export function failure(args: Failure): ConnectError {
  const { reason, violations } = args;
  const error = new ConnectError(
    cut(args.message, MAX_MESSAGE_CHARACTERS),
    args.code ?? codeOfReason[reason],
    undefined,
    [
      {
        desc: ErrorInfoSchema,
        value: { reason, domain: ERROR_DOMAIN, metadata: cutValues(args.details ?? {}) },
      },
    ],
    args.cause,
  );
  if (violations !== undefined) {
    const fieldViolations = violations.slice(0, MAX_VIOLATIONS).map((violation) => ({
      field: cut(violation.field, MAX_VALUE_CHARACTERS),
      description: cut(violation.description, MAX_VALUE_CHARACTERS),
    }));
    error.details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  }
  return error;
}

/**
 * Turns anything thrown into the error a caller sees; both front doors use it.
 *
 * An error of ours keeps its message, reason and values. An error of the libraries (a message that
 * cannot be decoded, a deadline) gets the reason it stands for. Anything else is a defect: the
 * caller sees INTERNAL and a request id, and `onDefect` gets the cause under the same id.
 */
export function toConnectError(error: unknown, onDefect: (defect: Defect) => void): ConnectError {
  if (error instanceof SessiondError) {
    return failure({
      reason: error.reason,
      message: error.message,
      details: error.details,
      ...(error instanceof InvalidFieldError ? { violations: error.violations } : {}),
      cause: error,
    });
  }
  if (error instanceof ConnectError) {
    return error.details.length > 0 ? error : fromLibrary(error, onDefect);
  }
  if (error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError")) {
    return abandoned(error.name === "TimeoutError" ? Code.DeadlineExceeded : Code.Canceled);
  }
  return defect(error, onDefect);
}

/** The caller gave up: cancelled, hung up, or its deadline passed. */
export function abandoned(code: Code.Canceled | Code.DeadlineExceeded): ConnectError {
  return failure({
    reason: "CALL_ABANDONED",
    code,
    message:
      code === Code.Canceled
        ? "the caller cancelled the call; a write may still take effect"
        : "the deadline passed before the call was done; a write may still take effect",
  });
}

/** A request that is not what the contract says. What `what` quotes of its content is left out. */
export function undecodable(said: string, cause?: unknown): ConnectError {
  // Cut before it is searched: the name of an unknown field is as long as its caller likes.
  const what = withoutContent(cut(said, MAX_MESSAGE_CHARACTERS));
  const field = /key "([^"]{1,200})" is unknown|field (\S{1,200}) from JSON/.exec(what);
  const name = field?.[1] ?? field?.[2];
  return failure({
    reason: "INVALID_FIELD",
    message: `the request cannot be decoded: ${what}`,
    ...(name === undefined
      ? {}
      : { details: { field: name }, violations: [{ field: name, description: what }] }),
    cause,
  });
}

/**
 * What a decoder says, without the values it quotes: content does not belong into errors, which end in
 * the logs of callers. Names of fields stay, and words of enums.
 */
function withoutContent(what: string): string {
  return what
    .replace(/, (?:\.\.\.)?"[\s\S]*"(?:\.\.\.)? is not valid JSON$/, "; it is not valid JSON")
    .replace(/((?:got|from JSON:?) )(?!"[A-Z][A-Z0-9_]*"$)"[\s\S]*"$/, "$1a text");
}

/** A request above the limit. */
export function requestTooLarge(limitBytes: number): ConnectError {
  return failure({
    reason: "REQUEST_TOO_LARGE",
    message: `the request is larger than ${limitBytes} bytes; send fewer or smaller events`,
    details: { limit_bytes: String(limitBytes) },
  });
}

function fromLibrary(error: ConnectError, onDefect: (defect: Defect) => void): ConnectError {
  const message = error.rawMessage;
  switch (error.code) {
    case Code.Canceled:
    case Code.DeadlineExceeded:
      return abandoned(error.code);
    case Code.Aborted: // a connection that was reset while the request was read
      return abandoned(Code.Canceled);
    case Code.InvalidArgument:
      return undecodable(message, error);
    case Code.ResourceExhausted:
      return requestTooLarge(Number(/readMaxBytes (\d+)$/.exec(message)?.[1]));
    case Code.Unimplemented:
      return failure({ reason: "NOT_SUPPORTED", message, cause: error });
    default:
      // connect-es reports malformed protobuf as a defect of the server; it is one of the request.
      return message.startsWith("parse binary")
        ? undecodable(message, error)
        : defect(error, onDefect);
  }
}

function defect(cause: unknown, onDefect: (defect: Defect) => void): ConnectError {
  const requestId = randomUUID();
  onDefect({ requestId, cause });
  return failure({
    reason: "INTERNAL",
    message: `internal error; the server's log has the details under request id ${requestId}`,
    details: { request_id: requestId },
    cause,
  });
}

function cutValues(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, cut(value, MAX_VALUE_CHARACTERS)]),
  );
}

function cut(text: string, characters: number): string {
  // A lone surrogate, which JSON can carry, would make the encodings of headers and protobuf throw.
  const whole = text.toWellFormed();
  return whole.length <= characters ? whole : `${whole.slice(0, characters).toWellFormed()}…`;
}
