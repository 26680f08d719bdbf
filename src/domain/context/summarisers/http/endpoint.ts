import { EndpointFailure } from "./failure.ts";
import type { KeySource } from "./key.ts";

/** Where summaries are asked for: the API of OpenAI's chat completions, which many speak. */
export interface Endpoint {
  /** Everything before `/chat/completions`, for example "https://api.openai.com/v1". */
  readonly url: string;
  readonly model: string;
  readonly key: KeySource;
  /** Time for one request, from its beginning to the end of the answer. */
  readonly timeoutMs: number;
  /** Larger answers are not read to their end. */
  readonly answerBytes: number;
}

export interface ChatMessage {
  readonly role: "system" | "user";
  readonly content: string;
}

/**
 * Sends one request and gives the answer's JSON.
 *
 * Redirects are refused: they would carry the conversation, and perhaps the key, elsewhere.
 *
 * Errors: EndpointFailure; the signal's reason when `signal` fires.
 */
export async function complete(
  endpoint: Endpoint,
  args: {
    readonly messages: readonly ChatMessage[];
    readonly maxTokens: number;
    readonly signal: AbortSignal;
  },
): Promise<unknown> {
  const { messages, maxTokens, signal } = args;
  const key = await endpoint.key();
  const timeout = AbortSignal.timeout(endpoint.timeoutMs);
  const either = AbortSignal.any([signal, timeout]);
  try {
    const response = await fetch(`${endpoint.url.replace(/\/+$/, "")}/chat/completions`, {
      method: "POST",
      redirect: "manual",
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify({
        model: endpoint.model,
        messages,
        max_tokens: maxTokens,
        temperature: 0,
        stream: false,
      }),
      signal: either,
    });
    if (!response.ok) {
      await response.body?.cancel();
      throw failureOf(response);
    }
    return parse(await read(response, endpoint.answerBytes));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (timeout.aborted) {
      throw new EndpointFailure(`it did not answer within ${endpoint.timeoutMs / 1_000} s`);
    }
    throw error instanceof EndpointFailure ? error : connectionFailure(error);
  }
}

function failureOf({ status, headers }: Response): EndpointFailure {
  if (status >= 300 && status < 400) {
    return new EndpointFailure(`it answered with a redirect (${status}), which is not followed`);
  }
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return new EndpointFailure(`it answered with HTTP status ${status}`, {
    isTemporary: status === 408 || status === 429 || status >= 500,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined,
  });
}

/** Reads the body as it comes in, and stops at the limit. */
async function read(response: Response, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the body.
    if (bytes > limit) throw new EndpointFailure(`its answer has more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message would quote the answer.
    throw new EndpointFailure("its answer is no JSON");
  }
}

function connectionFailure(error: unknown): EndpointFailure {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return new EndpointFailure(`the connection to it failed${code}`, {
    isTemporary: true,
    cause: error,
  });
}
