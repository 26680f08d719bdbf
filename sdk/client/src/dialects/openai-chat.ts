/*
 * `messages` of OpenAI's chat completions, as windows are rendered. They fit where OpenAI's own
 * package takes a `ChatCompletionMessageParam`.
 */

/** A message for OpenAI's chat completions. */
export type OpenaiChatMessage =
  | { role: "system"; content: string }
  | { role: "user"; name?: string; content: string | OpenaiChatPart[] }
  | {
      role: "assistant";
      name?: string;
      /** Null when it only calls tools. */
      content: string | OpenaiChatText[] | null;
      tool_calls?: OpenaiChatToolCall[];
    }
  | { role: "tool"; tool_call_id: string; content: string };

export interface OpenaiChatText {
  type: "text";
  text: string;
}

export type OpenaiChatPart = OpenaiChatText | { type: "image_url"; image_url: { url: string } };

export interface OpenaiChatToolCall {
  id: string;
  type: "function";
  /** `arguments` is the JSON text of an object. */
  function: { name: string; arguments: string };
}
