import { ask, type Endpoint, field, parseJson, readAll } from "./endpoint.ts";
import { EndpointFailure, toFailure } from "./failure.ts";
import { dataOf } from "./server-sent-events.ts";
import { watchSilence } from "./silence.ts";

/** Tokens as the endpoint reports them. */
export interface CompletionUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly reasoningTokens: number;
  /** Model that answered; empty when it was not said. */
  readonly model: string;
}

/** A piece of an answer: text, what it took, or why it ended, for example "stop" or "length". */
export type CompletionPart =
  | { readonly text: string }
  | { readonly usage: CompletionUsage }
  | { readonly finish: string };

/** Longest piece of an answer, in UTF-16 units and bytes. */
const pieceLength = 1024 * 1024;

/**
 * Asks for an answer and gives it as it comes. Servers that answer in one piece are understood too.
 *
 * `silentMs` bounds how long the endpoint may say nothing, before the answer and inside it.
 *
 * Errors: EndpointFailure, also when the answer breaks off; the signal's reason when `signal` fires.
 */
export async function* streamCompletion(
  endpoint: Endpoint,
  args: {
    readonly messages: readonly unknown[];
    readonly silentMs: number;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<CompletionPart, void> {
  const { messages, silentMs, signal } = args;
  using silence = watchSilence(silentMs);
  let isOpen = false;
  try {
    const response = await ask(endpoint, {
      mediaType: "text/event-stream",
      body: { messages, stream: true, stream_options: { include_usage: true } },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    isOpen = true;
    const type = response.headers.get("content-type") ?? "";
    if (/^application\/json\b/i.test(type)) {
      yield* partsOf(parseJson(await readAll(response, pieceLength)), "message");
      return;
    }
    yield* parts(heardOf(response, silence.heard));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (silence.signal.aborted) {
      throw new EndpointFailure(`it said nothing for ${silentMs / 1_000} s`, { isTemporary: true });
    }
    const isBroken = isOpen && !(error instanceof EndpointFailure);
    throw isBroken ? brokenOff(error) : toFailure(error);
  }
}

async function* heardOf({ body }: Response, heard: () => void): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body ?? []) {
    heard();
    yield chunk;
  }
}

async function* parts(body: AsyncIterable<Uint8Array>): AsyncGenerator<CompletionPart, void> {
  let isComplete = false;
  for await (const data of dataOf(body, pieceLength)) {
    if (data.trim() === "[DONE]") return;
    for (const part of partsOf(parseJson(data), "delta")) {
      isComplete ||= "finish" in part;
      yield part;
    }
  }
  if (!isComplete) throw brokenOff();
}

function brokenOff(cause?: unknown): EndpointFailure {
  return new EndpointFailure("its answer broke off", { isTemporary: true, cause });
}

/** What a chunk, or a whole answer, brings; its text stands in `delta` or `message`. */
function* partsOf(chunk: unknown, where: "delta" | "message"): Generator<CompletionPart, void> {
  const error = field(chunk, "error");
  if (error !== undefined && error !== null) {
    throw new EndpointFailure("it gave an error instead of an answer");
  }
  const choices = field(chunk, "choices");
  if (!Array.isArray(choices)) throw new EndpointFailure("its answer is none of chat completions");
  const choice: unknown = choices[0];
  const message = field(choice, where);
  const text = field(message, "content") ?? field(message, "refusal");
  if (typeof text === "string" && text !== "") yield { text };
  const usage = field(chunk, "usage");
  if (typeof usage === "object" && usage !== null) yield { usage: usageOf(usage, chunk) };
  const finish = field(choice, "finish_reason");
  if (typeof finish === "string") yield { finish };
}

function usageOf(usage: unknown, chunk: unknown): CompletionUsage {
  const model = field(chunk, "model");
  return {
    inputTokens: tokens(field(usage, "prompt_tokens")),
    outputTokens: tokens(field(usage, "completion_tokens")),
    cachedInputTokens: tokens(field(field(usage, "prompt_tokens_details"), "cached_tokens")),
    reasoningTokens: tokens(field(field(usage, "completion_tokens_details"), "reasoning_tokens")),
    model: typeof model === "string" ? model : "",
  };
}

function tokens(value: unknown): number {
  return Number.isInteger(value) && Number(value) > 0 ? Math.min(Number(value), 0xffff_ffff) : 0;
}
