import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Event, WindowItem } from "@sessiond/contract";
import { argumentsText, at } from "./json.ts";
import { CallIds, isLegalName, toolName } from "./names.ts";
import { openaiImage } from "./native-media.ts";
import { asText, type Piece, piecesOf, placeholders, resultText, textOf } from "./pieces.ts";
import { type Response, type Step, stepsOf } from "./steps.ts";

/*
 * Rules of OpenAI's chat completions:
 * - A message that calls tools is followed at once by one message of role "tool" for each call.
 * - A call's id has up to 40 characters; two calls of one message have different ids.
 * - A function's name consists of letters, digits, "_" and "-", up to 64; so does an author's.
 * - A message of the model has content unless it calls tools.
 * - Content of a tool's message is text; images stand in user messages only.
 * - Servers that imitate the API refuse arguments that are not the JSON text of an object.
 * - The list is not empty.
 */

/** Makes `messages` of OpenAI's chat completions. */
export function renderOpenaiChat(items: readonly WindowItem[]): JsonValue {
  const ids = new CallIds(40);
  const messages = stepsOf(items).flatMap((step) => messagesOf(step, ids));
  return messages.length > 0 ? messages : [{ role: "user", content: placeholders.opening }];
}

function messagesOf(step: Step, ids: CallIds): JsonObject[] {
  switch (step.kind) {
    case "system":
      return [{ role: "system", content: textOf(step.event) || placeholders.empty }];
    case "user":
      return [{ role: "user", ...named(step.event.author), content: userContent(step.event) }];
    case "response":
      return responseMessages(step, ids);
  }
}

function userContent(event: Event): JsonValue {
  const parts = piecesOf(event).map(toPart);
  return contentOf(parts) ?? placeholders.empty;
}

function toPart(piece: Piece): JsonObject {
  const url = piece.case === "image" ? openaiImage(piece) : undefined;
  return url === undefined ? textPart(asText(piece)) : { type: "image_url", image_url: { url } };
}

function responseMessages({ author, said, calls }: Response, ids: CallIds): JsonObject[] {
  const texts = said.flatMap((event) => piecesOf(event).map(asText));
  const content = contentOf(texts.map(textPart));
  const message = { role: "assistant", ...named(author), content: content ?? null };
  if (calls.length === 0) return content === undefined ? [] : [message];
  const answers: JsonObject[] = [];
  const toolCalls = calls.map(({ call, result }) => {
    const id = ids.give(call.callId);
    answers.push({ role: "tool", tool_call_id: id, content: resultText(result) });
    const name = toolName(call.name);
    return { id, type: "function", function: { name, arguments: argumentsText(call.arguments) } };
  });
  return [{ ...message, tool_calls: toolCalls }, ...answers];
}

/** One text as it is, else the list of parts; undefined if there is none. */
function contentOf(parts: JsonObject[]): JsonValue | undefined {
  const [first, ...rest] = parts;
  if (first === undefined) return undefined;
  return rest.length === 0 ? (at(first, "text") ?? parts) : parts;
}

function textPart(text: string): JsonObject {
  return { type: "text", text };
}

function named(author: string): JsonObject {
  return isLegalName(author) ? { name: author } : {};
}
