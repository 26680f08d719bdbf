import { toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Event, Part, ToolResult } from "@sessiond/contract";
import { referenceText } from "./media.ts";

/** A text, an image or a file. */
export type Piece = Exclude<Part["content"], { case: undefined }>;

/** Texts that stand where a provider wants one and there is none. */
export const placeholders = {
  /** A user message without content. */
  empty: "[empty]",
  /** A tool result without content. */
  noOutput: "[no output]",
  /** A conversation that begins with the model. */
  opening: "[The conversation begins here.]",
  /** A conversation that ends with the model. */
  closing: "Continue.",
  /** A user message right behind tool results, where the model should have spoken. */
  unanswered: "[no answer]",
} as const;

/** What an event says, in order: its text as one piece, then its parts. Empty texts are left out. */
export function piecesOf({ kind, payload }: Event): Piece[] {
  switch (payload.case) {
    case "message":
      return pieces(payload.value.text, payload.value.parts);
    case "output":
      return pieces(payload.value.text || jsonOf(payload.value.value));
    case "custom":
      return pieces(`[${kind || payload.value.type}] ${jsonOf(payload.value.value)}`.trimEnd());
    default:
      return [];
  }
}

/** What an event says as one text, for places that take no images and files. */
export function textOf(event: Event): string {
  return joined(piecesOf(event));
}

/** What a tool result says, in order. */
export function resultPieces(result: ToolResult | undefined): Piece[] {
  return result === undefined ? [] : pieces(result.content, result.parts);
}

/** What a tool result says as one text. */
export function resultText(result: ToolResult | undefined): string {
  return joined(resultPieces(result));
}

/** The text itself, or the reference to an image or a file. */
export function asText(piece: Piece): string {
  return piece.case === "text" ? piece.value : referenceText(piece);
}

/** Whether a text is white space and nothing else, in any provider's eyes. */
export function isBlank(text: string): boolean {
  return blank.test(text);
}

// Separators of ASCII and NEL are white space in some languages and not in this one.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about.
const blank = /^[\s\x1c-\x1f\x85]*$/;

function pieces(text: string, parts: readonly Part[] = []): Piece[] {
  const all: Piece[] = [{ case: "text", value: text }];
  for (const { content } of parts) if (content.case !== undefined) all.push(content);
  return all.filter((piece) => piece.case !== "text" || piece.value !== "");
}

function joined(all: readonly Piece[]): string {
  return all.map(asText).join("\n");
}

/** JSON of a structure; empty if there is none, or one that JSON cannot say. */
function jsonOf(value: Value | undefined): string {
  if (value === undefined) return "";
  try {
    return JSON.stringify(toJson(ValueSchema, value));
  } catch {
    return "";
  }
}
