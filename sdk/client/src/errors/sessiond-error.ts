import type { ErrorReason } from "@sessiond/contract";

/** Name of a reason of the contract, for example "REVISION_CONFLICT". */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** Name of a gRPC status code, for example "NOT_FOUND". */
export type CodeName =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** What an error is made of. */
export interface SessiondErrorInit {
  readonly message: string;
  readonly code: CodeName;
  readonly reason?: string;
  readonly details?: Readonly<Record<string, string>>;
  readonly sessionId?: string;
  readonly requestId?: string;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/**
 * Base of every error this client throws. The subclass names the reason; a reason this version
 * of the client does not know comes as this class itself.
 *
 * ```ts
 * try {
 *   await session.append(event, { expectedRevision: 41 });
 * } catch (error) {
 *   if (error instanceof RevisionConflictError) console.log(error.actual);
 *   else throw error;
 * }
 * ```
 */
export class SessiondError extends Error {
  /** Name of the gRPC status code. */
  readonly code: CodeName;
  /** Reason in the words of the contract; undefined when the error was not made by the server. */
  readonly reason: Reason | (string & {}) | undefined;
  /** Values of the error by their names in the contract. */
  readonly details: Readonly<Record<string, string>>;
  /** Session the call named, if it named one. */
  readonly sessionId: string | undefined;
  /**
   * Id of the failed request, if it was a mutation. A call with the same id and content is
   * applied once, whether or not the failed one took effect.
   */
  readonly requestId: string | undefined;
  /**
   * The same call with the same `requestId` may succeed without a change, now or a little later.
   * The client has already tried as often as its `retry` option says.
   */
  readonly retryable: boolean;

  constructor(init: SessiondErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = new.target.name;
    this.code = init.code;
    this.reason = init.reason;
    this.details = init.details ?? {};
    this.sessionId = init.sessionId;
    this.requestId = init.requestId;
    this.retryable = init.retryable ?? false;
  }

  /** A value of `details`; empty when the server did not send it. */
  protected text(name: string): string {
    return this.details[name] ?? "";
  }

  /** A value of `details` that is a number; NaN when the server did not send it. */
  protected number(name: string): number {
    return Number(this.details[name] ?? Number.NaN);
  }
}
