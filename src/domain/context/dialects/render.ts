import type { JsonValue } from "@bufbuild/protobuf";
import { Dialect, type WindowItem } from "@sessiond/contract";
import { renderAnthropicMessages } from "./anthropic-messages.ts";
import { renderGemini } from "./gemini.ts";
import { renderOpenaiChat } from "./openai-chat.ts";
import { renderOpenaiResponses } from "./openai-responses.ts";

const renderers = {
  [Dialect.UNSPECIFIED]: () => undefined,
  [Dialect.OPENAI_CHAT]: renderOpenaiChat,
  [Dialect.OPENAI_RESPONSES]: renderOpenaiResponses,
  [Dialect.ANTHROPIC_MESSAGES]: renderAnthropicMessages,
  [Dialect.GEMINI]: renderGemini,
} satisfies Record<Dialect, (items: readonly WindowItem[]) => JsonValue | undefined>;

/**
 * Makes the request part of a provider out of the items of a window: the same items give the same
 * JSON. Undefined for UNSPECIFIED.
 *
 * The items are system instructions, if any, and then groups in log order, in each of them thinking,
 * texts, calls, and one final result for each call in the order of the calls. Never rejected: what
 * comes out obeys the provider's rules, which stand at the head of each dialect's file. What an item
 * says is not changed, only put where it belongs; a text is one string, byte for byte.
 */
export function render(dialect: Dialect, items: readonly WindowItem[]): JsonValue | undefined {
  return renderers[dialect](items);
}
