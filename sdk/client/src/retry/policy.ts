import { UsageError } from "../errors/client-errors.ts";

/** How calls that may be repeated are repeated, and watches resumed. */
export interface RetryOptions {
  /**
   * How often a call is made before its error is thrown. 1: no retry; Infinity: until the call's
   * time is over. Default 3, enough for a connection that broke.
   */
  readonly attempts?: number;
  /**
   * How often in a row an open watch tries to resume before its error is thrown; a message that
   * arrives starts the count anew. Default 100, about a minute and a half; never below `attempts`.
   */
  readonly watchAttempts?: number;
  /** Shortest wait. Default 0. */
  readonly minMs?: number;
  /** Longest wait before the second attempt. Doubles with each further one. Default 100. */
  readonly initialMs?: number;
  /** Longest wait of all. Default 2,000. */
  readonly maxMs?: number;
}

/** What retries need from outside, so that tests do not wait. */
export interface RetryEnvironment {
  /** Resolves after that time, or as soon as the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** A number from 0 up to but not including 1. */
  readonly random: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface RetryPolicy extends Required<RetryOptions>, RetryEnvironment {}

const defaults = { attempts: 3, watchAttempts: 100, minMs: 0, initialMs: 100, maxMs: 2_000 };

/**
 * Waits of 4 to 60 s, for a server that may be away for longer than a restart takes.
 *
 * A call still ends with its `timeoutMs`, so give that room for more attempts.
 *
 * ```ts
 * const sessiond = new Sessiond({ retry: "reliable" });
 * const patient = new Sessiond({ retry: { ...reliable, attempts: 8 }, timeoutMs: 600_000 });
 * ```
 */
export const reliable = { minMs: 4_000, initialMs: 8_000, maxMs: 60_000 } satisfies RetryOptions;

/** Fills in defaults. Errors: UsageError for a number that makes no sense. */
export function retryPolicy(
  given: RetryOptions | "reliable" = {},
  environment: Partial<RetryEnvironment> = {},
): RetryPolicy {
  const options = given === "reliable" ? reliable : given;
  const policy = {
    ...defaults,
    sleep,
    random: Math.random,
    now: Date.now,
    ...environment,
    ...options,
  };
  if (!(policy.attempts >= 1)) {
    throw new UsageError(
      `retry.attempts is ${policy.attempts}; it counts the first call, so 1 or more`,
    );
  }
  if (!(policy.minMs >= 0 && policy.initialMs >= 0 && policy.maxMs >= policy.minMs)) {
    throw new UsageError(
      "retry.minMs, initialMs and maxMs are times in milliseconds, 0 or more, and minMs is no more than maxMs",
    );
  }
  return { ...policy, watchAttempts: Math.max(policy.watchAttempts, policy.attempts) };
}

/**
 * Time to wait after that many failures: exponential with full jitter above the shortest wait, so
 * that clients which failed together do not come back together.
 */
export function retryDelayMs(policy: RetryPolicy, failures: number): number {
  const longestMs = Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(failures - 1, 30));
  return policy.minMs + policy.random() * Math.max(0, longestMs - policy.minMs);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake, { once: true });
    if (signal.aborted) wake();
  });
}
