/**
 * The endpoint failed; the message is one clause that says how, without anything it sent: answers
 * to a wrong key quote the key.
 */
export class EndpointFailure extends Error {
  /** HTTP status it answered with. Absent: it did not come to that. */
  readonly status: number | undefined;
  /** It may work when tried again. */
  readonly isTemporary: boolean;
  /** When the endpoint wants to be tried again. Absent: it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: {
      readonly status?: number;
      readonly isTemporary?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "EndpointFailure";
    this.status = options.status;
    this.isTemporary = options.isTemporary ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What an error says about the endpoint; those of the network are no EndpointFailure yet. */
export function toFailure(error: unknown): EndpointFailure {
  if (error instanceof EndpointFailure) return error;
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return new EndpointFailure(`the connection to it failed${code}`, {
    isTemporary: true,
    cause: error,
  });
}
