import { SessiondError } from "./sessiond-error.ts";

/** The client was closed before the call or while it was under way. */
export class ClientClosedError extends SessiondError {
  constructor() {
    super({ message: "this client is closed; make a new one", code: "CANCELLED" });
  }
}

/** No answer: nothing listens at the address, or the connection was lost. */
export class ServerUnavailableError extends SessiondError {}

/**
 * A consumer was not told of something, because it came too late: `consume` with `onGap` to go on. The
 * message says what is known.
 */
export class ConsumerGapError extends SessiondError {
  constructor(description: string) {
    super({ message: `${description}; consume with onGap to go on`, code: "OUT_OF_RANGE" });
  }
}

/** An option or argument is wrong. Nothing was sent. */
export class UsageError extends SessiondError {
  constructor(message: string) {
    super({ message, code: "INVALID_ARGUMENT" });
  }
}
