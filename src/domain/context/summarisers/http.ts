import {
  BrokenCircuitError,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleType,
  handleWhen,
  type IPolicy,
  retry,
  wrap,
} from "cockatiel";
import type { Endpoint } from "../../../completions/endpoint.ts";
import { EndpointFailure } from "../../../completions/failure.ts";
import type { KeySource } from "../../../completions/key.ts";
import { complete, type WholeLimits } from "../../../completions/whole.ts";
import { SummariserFailedError } from "../../../errors.ts";
import { limits } from "../../../limits.ts";
import { summaryOf } from "./http/answer.ts";
import { promptFor } from "./http/prompt.ts";
import { UnusableAnswer } from "./http/unusable-answer.ts";
import type { CountTokens, Summariser, SummaryTask } from "./summariser.ts";

export interface HttpSummariserOptions {
  /** Everything before `/chat/completions`. */
  readonly url: string;
  readonly model: string;
  /** Key of the endpoint. */
  readonly key: KeySource;
  readonly count: CountTokens;
  /** Time for one request. Default 30 s: summaries are made in the background. */
  readonly timeoutMs?: number;
  /** Tokens one answer may have, beside what the task says. Default 4,096. */
  readonly maxTokens?: number;
  /** Pause before a request is tried again the first time; it doubles. Default 500 ms. */
  readonly retryDelayMs?: number;
  /** How long the endpoint is left alone after five failures in a row. Default 30 s. */
  readonly openMs?: number;
  /** From 0 to below 1; spreads the pauses. Default `Math.random`. */
  readonly random?: () => number;
}

/** How often a request is tried again that failed in a way that may pass. */
const retries = 2;
/** Failures in a row after which the endpoint is left alone. */
const failuresInARow = 5;
/** The longest pause, also when the endpoint asks for a longer one. */
const longestDelayMs = 10_000;

/**
 * Asks an OpenAI-compatible endpoint for summaries.
 *
 * A request that meets a broken connection, 408, 429 or 5xx is tried again twice. After five
 * failures in a row nothing is sent for 30 seconds, then one request tries. A summary that is too
 * long is asked for once more, in firmer words. The key stands in no error.
 */
export class HttpSummariser implements Summariser {
  readonly #endpoint: Endpoint & WholeLimits;
  readonly #maxTokens: number;
  readonly #count: CountTokens;
  readonly #policy: IPolicy;

  constructor(options: HttpSummariserOptions) {
    const { retryDelayMs = 500, openMs = 30_000, random = Math.random } = options;
    this.#endpoint = {
      url: options.url,
      model: options.model,
      key: options.key,
      timeoutMs: options.timeoutMs ?? limits.summariserTimeoutMs,
      answerBytes: limits.summariserAnswerBytes,
    };
    this.#maxTokens = options.maxTokens ?? limits.summariserMaxTokens;
    this.#count = options.count;
    const tryAgain = retry(handleWhen(isTemporary), {
      maxAttempts: retries,
      backoff: new DelegateBackoff(({ attempt, result }) => {
        // Spread, so that those who failed together do not come back together.
        const usualMs = retryDelayMs * 2 ** (attempt - 1) * (0.5 + random());
        return Math.min(askedDelayMs(result) ?? usualMs, longestDelayMs);
      }),
    }).dangerouslyUnref();
    const leaveAlone = circuitBreaker(handleType(EndpointFailure), {
      halfOpenAfter: openMs,
      breaker: new ConsecutiveBreaker(failuresInARow),
    });
    this.#policy = wrap(tryAgain, leaveAlone);
  }

  async summarise(task: SummaryTask): Promise<string> {
    try {
      const first = await this.#ask(task, { isFirm: false });
      const { summary } = "summary" in first ? first : await this.#ask(task, { isFirm: true });
      if (summary !== undefined) return summary;
    } catch (error) {
      throw toFailed(error, task.signal);
    }
    throw new SummariserFailedError(
      `the endpoint wrote more than ${task.maxTokens} tokens, also when asked for less`,
    );
  }

  /** Without `summary`, it was too long. */
  async #ask(
    task: SummaryTask,
    { isFirm }: { readonly isFirm: boolean },
  ): Promise<{ readonly summary?: string }> {
    const { maxTokens, encoding, signal } = task;
    signal.throwIfAborted();
    const messages = promptFor(task, { isFirm });
    // Twice the room: what is a little too long is then asked for again, rather than cut off.
    const answerTokens = Math.min(maxTokens * 2, this.#maxTokens);
    const answer = await unlessAborted(
      this.#policy.execute(
        () => complete(this.#endpoint, { messages, maxTokens: answerTokens, signal }),
        signal,
      ),
      signal,
    );
    const { summary, isCutOff } = summaryOf(answer);
    const fits = !isCutOff && (await this.#count(summary, encoding)) <= maxTokens;
    return fits ? { summary } : {};
  }
}

function isTemporary(error: unknown): boolean {
  return error instanceof EndpointFailure && error.isTemporary;
}

/** The pause that the endpoint asked for. */
function askedDelayMs(result: { error: unknown } | { value: unknown }): number | undefined {
  const error = "error" in result ? result.error : undefined;
  return error instanceof EndpointFailure ? error.retryAfterMs : undefined;
}

/** Settles at once when the signal fires: the library waits for its pause to end. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function toFailed(error: unknown, signal: AbortSignal): SummariserFailedError {
  if (signal.aborted) return new SummariserFailedError("it was not needed any more");
  if (error instanceof BrokenCircuitError) {
    return new SummariserFailedError("the endpoint has failed often and is left alone for a while");
  }
  const how = error instanceof EndpointFailure || error instanceof UnusableAnswer;
  return new SummariserFailedError(`the endpoint failed${how ? `: ${error.message}` : ""}`, error);
}
