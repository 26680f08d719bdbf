/**
 * The endpoint failed; the message is one clause that says how, without anything it sent: answers
 * to a wrong key quote the key.
 */
export class EndpointFailure extends Error {
  /** It may work when tried again. */
  readonly isTemporary: boolean;
  /** When the endpoint wants to be tried again. Absent: it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: {
      readonly isTemporary?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "EndpointFailure";
    this.isTemporary = options.isTemporary ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The endpoint worked, but what it answered is no summary. */
export class UnusableAnswer extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UnusableAnswer";
  }
}
