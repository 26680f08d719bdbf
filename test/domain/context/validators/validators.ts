import type { JsonValue } from "@bufbuild/protobuf";
import { Dialect } from "@sessiond/contract";
import { anthropicMessagesRules, validateAnthropicMessages } from "./anthropic-messages.ts";
import { geminiRules, validateGemini } from "./gemini.ts";
import { openAiChatRules, validateOpenAiChat } from "./openai-chat.ts";
import { openAiResponsesRules, validateOpenAiResponses } from "./openai-responses.ts";
import type { Rules, Violation } from "./report.ts";

export interface Validator {
  readonly dialect: Dialect;
  readonly rules: Rules;
  readonly validate: (value: JsonValue) => Violation[];
}

/**
 * What providers refuse with 400 in the history of a request, from their public documentation and
 * error messages. They know nothing of the renderers.
 */
export const validators = {
  "openai-chat": {
    dialect: Dialect.OPENAI_CHAT,
    rules: openAiChatRules,
    validate: validateOpenAiChat,
  },
  "openai-responses": {
    dialect: Dialect.OPENAI_RESPONSES,
    rules: openAiResponsesRules,
    validate: validateOpenAiResponses,
  },
  "anthropic-messages": {
    dialect: Dialect.ANTHROPIC_MESSAGES,
    rules: anthropicMessagesRules,
    validate: validateAnthropicMessages,
  },
  gemini: { dialect: Dialect.GEMINI, rules: geminiRules, validate: validateGemini },
} as const satisfies Record<string, Validator>;

export type DialectName = keyof typeof validators;
