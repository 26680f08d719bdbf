/*
 * `system` and `messages` of Anthropic's messages, as windows are rendered. They fit where
 * Anthropic's own package takes `MessageCreateParams`.
 */

/** The part of a request to Anthropic that a window makes; spread it into the request. */
export interface AnthropicRequestPart {
  /** Absent without instructions. */
  system?: string;
  messages: AnthropicMessage[];
}

/** A message for Anthropic. Roles alternate; the first and the last are the user's. */
export interface AnthropicMessage {
  role: "user" | "assistant";
  content: AnthropicBlock[];
}

export type AnthropicBlock =
  | AnthropicContent
  | { type: "tool_use"; id: string; name: string; input: Record<string, unknown> }
  | {
      type: "tool_result";
      tool_use_id: string;
      content: string | AnthropicContent[];
      is_error?: boolean;
    }
  | { type: "thinking"; thinking: string; signature: string }
  | { type: "redacted_thinking"; data: string };

/** What messages and tool results hold. */
export type AnthropicContent =
  | { type: "text"; text: string }
  | { type: "image"; source: AnthropicUrl | AnthropicBytes<AnthropicImageType> }
  | { type: "document"; source: AnthropicUrl | AnthropicBytes<"application/pdf"> };

export type AnthropicImageType = "image/jpeg" | "image/png" | "image/gif" | "image/webp";

export interface AnthropicUrl {
  type: "url";
  url: string;
}

export interface AnthropicBytes<MediaType> {
  type: "base64";
  media_type: MediaType;
  data: string;
}
