import { EndpointFailure } from "./failure.ts";
import type { KeySource } from "./key.ts";

/** Where completions are asked for: the API of OpenAI's chat completions, which many speak. */
export interface Endpoint {
  /** Everything before `/chat/completions`, for example "https://api.openai.com/v1". */
  readonly url: string;
  readonly model: string;
  readonly key: KeySource;
}

/**
 * Sends one request and gives the response to it, whose body is still to be read.
 *
 * Redirects are refused: they would carry the conversation, and perhaps the key, elsewhere.
 *
 * Errors: EndpointFailure, also for a status that is no success; what `fetch` throws when `signal`
 * fires.
 */
export async function ask(
  endpoint: Endpoint,
  args: {
    /** Of the answer, for example "application/json". */
    readonly mediaType: string;
    /** The request beside the model. */
    readonly body: Readonly<Record<string, unknown>>;
    readonly signal: AbortSignal;
  },
): Promise<Response> {
  const { mediaType, body, signal } = args;
  const key = await endpoint.key();
  const response = await fetch(`${endpoint.url.replace(/\/+$/, "")}/chat/completions`, {
    method: "POST",
    redirect: "manual",
    headers: {
      "content-type": "application/json",
      accept: mediaType,
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify({ model: endpoint.model, ...body }),
    signal,
  });
  if (response.ok) return response;
  await response.body?.cancel();
  throw failureOf(response);
}

/** Reads a body as it comes in, and stops at the limit. Errors: EndpointFailure. */
export async function readAll(response: Response, limit: number): Promise<string> {
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

/** Errors: EndpointFailure for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message would quote the answer.
    throw new EndpointFailure("its answer is no JSON");
  }
}

/** A field of a value of any form; undefined where it has none. */
export function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return (value as Record<string, unknown>)[name];
}

function failureOf({ status, headers }: Response): EndpointFailure {
  if (status >= 300 && status < 400) {
    return new EndpointFailure(`it answered with a redirect (${status}), which is not followed`);
  }
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return new EndpointFailure(`it answered with HTTP status ${status}`, {
    status,
    isTemporary: status === 408 || status === 429 || status >= 500,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined,
  });
}
