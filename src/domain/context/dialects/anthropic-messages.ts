import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Event, ToolResult, WindowItem } from "@sessiond/contract";
import { argumentsObject, at, rawOf, textAt } from "./json.ts";
import { CallIds, toolName } from "./names.ts";
import { anthropicMedia } from "./native-media.ts";
import {
  asText,
  isBlank,
  type Piece,
  piecesOf,
  placeholders,
  resultPieces,
  textOf,
} from "./pieces.ts";
import { conversationOf, type Response } from "./steps.ts";
import { Turns } from "./turns.ts";

/*
 * Rules of Anthropic's messages:
 * - Roles alternate, the first message is the user's, and so is the last (newer models continue no
 *   answer of their own).
 * - All results of a message's calls stand in the next message, before anything else in it; one
 *   that is an error holds texts only.
 * - A call's id consists of letters, digits, "_" and "-", and is unique in the request.
 * - A tool's name consists of letters, digits, "_" and "-", up to 64; its input is an object.
 * - No text is empty or only white space.
 * - A thinking block carries Anthropic's signature over it, begins the message, and is not its last.
 * - Images and PDFs come from https addresses or as base64, of a few media types.
 */

/** Makes `system` and `messages` of Anthropic's messages. */
export function renderAnthropicMessages(items: readonly WindowItem[]): JsonValue {
  const { instructions, steps } = conversationOf(items);
  const ids = new CallIds(64);
  const turns = new Turns(textBlock);
  for (const step of steps) {
    if (step.kind === "system") turns.say("user", `[system] ${textOf(step.event)}`);
    else if (step.kind === "user") turns.add("user", userBlocks(step.event));
    else addResponse(turns, step, ids);
  }
  const system = instructions.filter((text) => !isBlank(text)).join("\n\n");
  const messages = turns.finish().map(({ side, blocks }) => ({
    role: side === "model" ? "assistant" : "user",
    content: blocks,
  }));
  return { ...(system === "" ? {} : { system }), messages };
}

function userBlocks(event: Event): JsonObject[] {
  return orElse(contentBlocks(piecesOf(event)), placeholders.empty);
}

function addResponse(turns: Turns, { thinking, said, calls }: Response, ids: CallIds): void {
  const results: JsonObject[] = [];
  const blocks = textBlocks(said.flatMap(piecesOf));
  for (const { call, result } of calls) {
    const id = ids.give(call.callId);
    const input = argumentsObject(call.arguments);
    blocks.push({ type: "tool_use", id, name: toolName(call.name), input });
    results.push(toolResult(id, result));
  }
  if (blocks.length > 0 && turns.last !== "model") {
    turns.add("model", thinking.flatMap(thinkingBlock));
  }
  turns.add("model", blocks);
  turns.add("user", results);
}

function toolResult(id: string, result: ToolResult | undefined): JsonObject {
  const isError = result?.isError === true;
  const toBlocks = isError ? textBlocks : contentBlocks;
  const blocks = orElse(toBlocks(resultPieces(result)), placeholders.noOutput);
  const [first, ...rest] = blocks;
  const content = rest.length === 0 ? (at(first, "text") ?? blocks) : blocks;
  return { type: "tool_result", tool_use_id: id, content, ...(isError && { is_error: true }) };
}

function contentBlocks(pieces: readonly Piece[]): JsonObject[] {
  return pieces.flatMap((piece) => {
    const block = piece.case === "text" ? undefined : anthropicMedia(piece);
    return block === undefined ? textBlocks([piece]) : [block];
  });
}

function textBlocks(pieces: readonly Piece[]): JsonObject[] {
  return pieces
    .map(asText)
    .filter((text) => !isBlank(text))
    .map(textBlock);
}

/** The block of a thought, if Anthropic signed it. */
function thinkingBlock(event: Event): JsonObject[] {
  const raw = rawOf(event, "anthropic-messages");
  const type = at(raw, "type");
  const data = textAt(raw, "data");
  if (type === "redacted_thinking" && data !== undefined) return [{ type, data }];
  // A signature beside another provider's own form is that provider's.
  const isSignedHere = /^(?:anthropic|$)/.test(event.raw?.format ?? "");
  if (event.payload.case !== "thinking" || !isSignedHere) return [];
  const own = type === "thinking" ? raw : undefined;
  const thinking = textAt(own, "thinking") ?? event.payload.value.text;
  const signature = textAt(own, "signature") ?? event.payload.value.signature;
  // Without its text it may be a redacted thought, which has another form.
  if (isBlank(thinking) || signature === "") return [];
  return [{ type: "thinking", thinking, signature }];
}

function orElse(blocks: JsonObject[], placeholder: string): JsonObject[] {
  return blocks.length > 0 ? blocks : [textBlock(placeholder)];
}

function textBlock(text: string): JsonObject {
  return { type: "text", text };
}
