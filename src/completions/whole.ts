import { ask, type Endpoint, parseJson, readAll } from "./endpoint.ts";
import { EndpointFailure, toFailure } from "./failure.ts";

/** A message of the dialect; what a window is rendered to may have more fields. */
export interface ChatMessage {
  readonly role: "system" | "user";
  readonly content: string;
}

/** Bounds of a completion that is read in one piece. */
export interface WholeLimits {
  /** Time for the request, from its beginning to the end of the answer. */
  readonly timeoutMs: number;
  /** Larger answers are not read to their end. */
  readonly answerBytes: number;
}

/**
 * Sends one request and gives the answer's JSON.
 *
 * Errors: EndpointFailure; the signal's reason when `signal` fires.
 */
export async function complete(
  endpoint: Endpoint & WholeLimits,
  args: {
    readonly messages: readonly ChatMessage[];
    readonly maxTokens: number;
    readonly signal: AbortSignal;
  },
): Promise<unknown> {
  const { messages, maxTokens, signal } = args;
  const timeout = AbortSignal.timeout(endpoint.timeoutMs);
  try {
    const response = await ask(endpoint, {
      mediaType: "application/json",
      body: { messages, max_tokens: maxTokens, temperature: 0, stream: false },
      signal: AbortSignal.any([signal, timeout]),
    });
    return parseJson(await readAll(response, endpoint.answerBytes));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (timeout.aborted) {
      throw new EndpointFailure(`it did not answer within ${endpoint.timeoutMs / 1_000} s`);
    }
    throw toFailure(error);
  }
}
