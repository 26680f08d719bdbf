import { once } from "node:events";
import type { Answer } from "../../domain/context/summarisers/chat-server.ts";

/** A chunk of a streamed chat completion. */
export function chunk(content: string): object {
  return { model: "small-model-1", choices: [{ index: 0, delta: { content } }] };
}

/** The chunks that end one: why it ended, and what it took. */
export function ending(finishReason = "stop"): object[] {
  const usage = {
    prompt_tokens: 21,
    completion_tokens: 7,
    prompt_tokens_details: { cached_tokens: 16 },
    completion_tokens_details: { reasoning_tokens: 2 },
  };
  return [
    { model: "small-model-1", choices: [{ index: 0, delta: {}, finish_reason: finishReason }] },
    { model: "small-model-1", choices: [], usage },
  ];
}

/** Answers with server-sent events of these values, and `[DONE]`. */
export function streams(...values: readonly object[]): Answer {
  return raw([...values.map((value) => JSON.stringify(value)), "[DONE]"].map(dataOf).join(""));
}

/** Answers with these bytes as an event stream, and ends it. */
export function raw(text: string): Answer {
  return (response) => void response.setHeader("content-type", "text/event-stream").end(text);
}

/** Begins to answer with these values; `then` goes on with the open response. */
export function begins(values: readonly object[], then: (end: () => void) => unknown): Answer {
  return (response) => {
    response.setHeader("content-type", "text/event-stream");
    response.write(values.map((value) => dataOf(JSON.stringify(value))).join(""));
    void then(() => response.destroy());
  };
}

/** Begins to answer and says no more; resolves `gone` when the client has gone away. */
export function beginsOnly(values: readonly object[]): { answer: Answer; gone: Promise<void> } {
  const gone = Promise.withResolvers<void>();
  const answer: Answer = (response, request) => {
    begins(values, () => once(response, "close").then(() => gone.resolve()))(response, request);
  };
  return { answer, gone: gone.promise };
}

function dataOf(text: string): string {
  return `data: ${text}\n\n`;
}
