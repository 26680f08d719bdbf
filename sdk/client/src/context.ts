import type { Clients } from "./clients.ts";
import { type CallSubject, fromConnectError } from "./errors/from-connect-error.ts";
import type { RetryPolicy } from "./retry/policy.ts";

/** What the parts of one client share. */
export interface ClientContext {
  readonly clients: Clients;
  readonly namespace: string;
  readonly retry: RetryPolicy;
  readonly newId: () => string;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsedMs: () => number;
}

/** Awaits a call of a Connect client and throws this client's errors. */
export async function translated<T>(call: Promise<T>, subject: CallSubject = {}): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw fromConnectError(error, subject);
  }
}
