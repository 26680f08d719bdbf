import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Event, WindowItem } from "@sessiond/contract";
import { argumentsText, rawOf, textAt } from "./json.ts";
import { CallIds, toolName } from "./names.ts";
import { openaiFile, openaiImage } from "./native-media.ts";
import { asText, type Piece, piecesOf, placeholders, resultText, textOf } from "./pieces.ts";
import { type Response, type Step, stepsOf } from "./steps.ts";

/*
 * Rules of OpenAI's responses:
 * - Each function_call has one function_call_output, which stands behind it.
 * - A call_id has up to 64 characters and belongs to one call.
 * - A function's name consists of letters, digits, "_" and "-", up to 64.
 * - What the model said is output_text; everybody else's texts are input_text.
 * - A reasoning item is followed at once by what came out of it; here the first text or call.
 * - A reasoning item without its encrypted content only points to what the provider may have kept,
 *   and is refused when it did not.
 * - Servers that imitate the API refuse arguments that are not the JSON text of an object.
 * - The list is not empty.
 */

/** Makes `input` of OpenAI's responses. */
export function renderOpenaiResponses(items: readonly WindowItem[]): JsonValue {
  const ids = new CallIds(64);
  const input = stepsOf(items).flatMap((step) => inputOf(step, ids));
  return input.length > 0 ? input : [message("user", [inputText(placeholders.opening)])];
}

function inputOf(step: Step, ids: CallIds): JsonObject[] {
  switch (step.kind) {
    case "system":
      return [message("system", [inputText(textOf(step.event) || placeholders.empty)])];
    case "user": {
      const parts = piecesOf(step.event).map(toPart);
      return [message("user", parts.length > 0 ? parts : [inputText(placeholders.empty)])];
    }
    case "response":
      return responseItems(step, ids);
  }
}

function toPart(piece: Piece): JsonObject {
  if (piece.case === "text") return inputText(piece.value);
  const image = openaiImage(piece);
  if (image !== undefined) return { type: "input_image", image_url: image, detail: "auto" };
  const file = openaiFile(piece);
  return file === undefined ? inputText(asText(piece)) : { type: "input_file", file_url: file };
}

function responseItems({ thinking, said, calls }: Response, ids: CallIds): JsonObject[] {
  const outputs: JsonObject[] = [];
  const functionCalls = calls.map(({ call, result }) => {
    const id = ids.give(call.callId);
    outputs.push({ type: "function_call_output", call_id: id, output: resultText(result) });
    const args = argumentsText(call.arguments);
    return { type: "function_call", call_id: id, name: toolName(call.name), arguments: args };
  });
  const texts = said.flatMap((event) => piecesOf(event).map(asText));
  const parts = texts.map((text) => ({ type: "output_text", text }));
  const messages = parts.length > 0 ? [message("assistant", parts)] : [];
  const produced = [...messages, ...functionCalls, ...outputs];
  return produced.length > 0 ? [...reasoningOf(thinking.at(-1)), ...produced] : [];
}

/** The reasoning item that stands directly before what came out of it; of several, only the last does. */
function reasoningOf(event: Event | undefined): JsonObject[] {
  const raw = event && rawOf(event, "openai-responses");
  const { type, id, summary } = raw ?? {};
  const content = textAt(raw, "encrypted_content");
  if (type !== "reasoning" || typeof id !== "string" || content === undefined) return [];
  return [{ type, id, summary: Array.isArray(summary) ? summary : [], encrypted_content: content }];
}

function message(role: "system" | "user" | "assistant", content: JsonObject[]): JsonObject {
  return { type: "message", role, content };
}

function inputText(text: string): JsonObject {
  return { type: "input_text", text };
}
