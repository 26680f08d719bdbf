import type { DialectWord } from "../words.ts";
import type { AnthropicRequestPart } from "./anthropic.ts";
import type { GeminiRequestPart } from "./gemini.ts";
import type { OpenaiChatMessage } from "./openai-chat.ts";
import type { OpenaiResponsesItem } from "./openai-responses.ts";

/**
 * What a window makes of a provider's request, by dialect. The types are this client's own and name
 * only what windows have in them, so that they fit the types of the providers' packages.
 */
export interface RequestParts extends Record<DialectWord, unknown> {
  /** `messages` of chat completions. */
  "openai-chat": OpenaiChatMessage[];
  /** `input` of responses. */
  "openai-responses": OpenaiResponsesItem[];
  /** `system` and `messages`. */
  anthropic: AnthropicRequestPart;
  /** `systemInstruction` and `contents`. */
  gemini: GeminiRequestPart;
}

/** The request part for a dialect; undefined where none was asked for. */
export type RequestPart<D extends DialectWord | undefined> = D extends DialectWord
  ? RequestParts[D]
  : undefined;
