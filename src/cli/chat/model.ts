import type { Endpoint } from "../../completions/endpoint.ts";
import { EndpointFailure } from "../../completions/failure.ts";
import { streamCompletion } from "../../completions/stream.ts";
import { type Answerer, AnswerFailure, type View } from "./answerer.ts";

/** What to do about a status, where there is something to do. */
const advice: Readonly<Record<number, string>> = {
  400: "it does not take the request; is --model right?",
  401: "look at OPENAI_API_KEY",
  403: "the key may not use this model",
  404: "look at --model and --base-url",
  413: "the window is too large for it; give --budget",
  429: "too many requests, or nothing left to spend",
};

/** Answers with a model behind an OpenAI-compatible endpoint. */
export function modelAnswerer(
  endpoint: Endpoint,
  { silentMs, ...view }: View & { readonly silentMs: number },
): Answerer {
  return {
    name: `${endpoint.model} at ${endpoint.url}`,
    async *answer(session, signal) {
      const agent = session.message.agentId;
      const messages = await session.messages("openai-chat", { ...view, agent, signal });
      try {
        yield* streamCompletion(endpoint, { messages, silentMs, signal });
      } catch (error) {
        throw error instanceof EndpointFailure ? toAnswerFailure(endpoint, error) : error;
      }
    },
  };
}

function toAnswerFailure({ url }: Endpoint, failure: EndpointFailure): AnswerFailure {
  const { message, status, isTemporary: retryable, retryAfterMs } = failure;
  const hints = [
    ...(status === undefined ? [] : [advice[status] ?? ""]),
    ...(retryAfterMs === undefined ? [] : [`try again in ${Math.ceil(retryAfterMs / 1_000)} s`]),
  ].filter((hint) => hint !== "");
  return new AnswerFailure([`${url}: ${message}`, ...hints].join("; "), {
    code: status === undefined ? "endpoint" : `http_${status}`,
    retryable,
    cause: failure,
  });
}
