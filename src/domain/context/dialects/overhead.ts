import { Dialect, type Event } from "@sessiond/contract";
import { estimateTokens } from "../../tokens/estimate.ts";
import { argumentsText } from "./json.ts";
import { isLegalName } from "./names.ts";
import { piecesOf, placeholders } from "./pieces.ts";

/** Tokens around things, at most. */
interface Overhead {
  /** Role and boundaries of a message, and words that a dialect puts in front of it or before it. */
  readonly message: number;
  /** A call's id and markup. */
  readonly call: number;
  /** A result's id, name and markup, and the placeholder for an empty one. */
  readonly result: number;
  /** Boundaries of a thought. */
  readonly thinking: number;
  /** What begins the model's answer, and a first and a last word of the user. */
  readonly window: number;
}

/*
 * OpenAI counts 3 tokens for a message, 1 for a name and 3 for the answer; a call and a result name
 * their tool and the way they go. Anthropic writes calls and results as markup with tags for each
 * argument; Gemini as structures. The providers publish no more than this, so numbers are rounded up.
 */
const overheads = {
  [Dialect.UNSPECIFIED]: { message: 0, call: 0, result: 0, thinking: 0, window: 0 },
  [Dialect.OPENAI_CHAT]: { message: 4, call: 12, result: 16, thinking: 0, window: 16 },
  [Dialect.OPENAI_RESPONSES]: { message: 4, call: 12, result: 16, thinking: 4, window: 16 },
  [Dialect.ANTHROPIC_MESSAGES]: { message: 8, call: 32, result: 24, thinking: 8, window: 32 },
  [Dialect.GEMINI]: { message: 12, call: 12, result: 16, thinking: 0, window: 32 },
} satisfies Record<Dialect, Overhead>;

/** Boundaries of a part of a message. */
const partTokens = 2;

/** Tokens that a dialect adds to an event at most, beside its text, its images and its files. */
export function overheadOf(dialect: Dialect, event: Event): number {
  if (dialect === Dialect.UNSPECIFIED) return 0;
  return shownOverhead(dialect, event) + signatureTokens(dialect, event);
}

function shownOverhead(dialect: Exclude<Dialect, Dialect.UNSPECIFIED>, event: Event): number {
  const overhead: Overhead = overheads[dialect];
  const { payload } = event;
  switch (payload.case) {
    case "message": {
      const pieces = piecesOf(event).length;
      const placeholder = pieces === 0 ? estimateTokens(placeholders.empty) : 0;
      return overhead.message + nameTokens(dialect, event) + placeholder + pieces * partTokens;
    }
    case "output":
    case "custom":
      return overhead.message + nameTokens(dialect, event) + structureTokens(event);
    case "toolCall": {
      const text = payload.value.arguments;
      // A character added is a token at most.
      const wrapping = Math.max(0, argumentsText(text).length - text.length);
      return overhead.call + overhead.message + nameTokens(dialect, event) + wrapping;
    }
    case "toolResult":
      return overhead.result + payload.value.parts.length * partTokens;
    case "thinking":
      return overhead.thinking + hiddenTokens(dialect, event);
    default:
      return 0;
  }
}

/** Tokens that a dialect adds to a window at most, beside what it adds to its events. */
export function windowOverhead(dialect: Dialect): number {
  return overheads[dialect].window;
}

/** A structure is no text of the event, and is shown as JSON. */
function structureTokens(event: Event): number {
  if (event.payload.case === "output" && event.payload.value.text !== "") return 0;
  return piecesOf(event).reduce(
    (sum, piece) => sum + (piece.case === "text" ? estimateTokens(piece.value) : 0),
    0,
  );
}

/** Authors are named beside messages in OpenAI's chat completions. */
function nameTokens(dialect: Dialect, { author }: Event): number {
  return dialect === Dialect.OPENAI_CHAT && isLegalName(author) ? 1 + estimateTokens(author) : 0;
}

/** A thought that the provider hides: encrypted, in base64, some five characters a token. */
function hiddenTokens(dialect: Dialect, { payload, raw }: Event): number {
  const isHidden =
    (dialect === Dialect.OPENAI_RESPONSES && raw?.format === "openai-responses") ||
    (dialect === Dialect.ANTHROPIC_MESSAGES &&
      raw?.format === "anthropic-messages" &&
      payload.case === "thinking" &&
      payload.value.text === "");
  return isHidden ? Math.ceil((raw?.json.length ?? 0) / 4) : 0;
}

/** A signature that Gemini wants back beside a text or a call; counted like a hidden thought. */
function signatureTokens(dialect: Dialect, { raw }: Event): number {
  if (dialect !== Dialect.GEMINI || raw?.format !== "gemini") return 0;
  return raw.json.includes("thoughtSignature") ? Math.ceil(raw.json.length / 4) : 0;
}
