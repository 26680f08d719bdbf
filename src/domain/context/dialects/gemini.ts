import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Event, WindowItem } from "@sessiond/contract";
import { argumentsObject, rawOf, textAt } from "./json.ts";
import { geminiMedia } from "./native-media.ts";
import {
  asText,
  isBlank,
  type Piece,
  piecesOf,
  placeholders,
  resultText,
  textOf,
} from "./pieces.ts";
import { conversationOf, type Response } from "./steps.ts";
import { Turns } from "./turns.ts";

/*
 * Rules of Gemini's generateContent:
 * - Roles alternate; the first content is the user's, and so is the last.
 * - Function calls come right after a user's content or after function responses, and the next
 *   content answers them: as many responses, in the same order, and nothing else in it.
 * - Arguments and responses are objects.
 * - A function's name begins with a letter or "_"; letters, digits, "_", ".", ":" and "-" follow, up
 *   to 64 in all.
 * - No part is empty.
 * - Files are bytes in base64, or addresses of Cloud Storage or the Files API, of a few media types.
 * - A thought signature comes back on the part it came with, or not at all.
 */

/** Makes `systemInstruction` and `contents` of Gemini's generateContent. */
export function renderGemini(items: readonly WindowItem[]): JsonValue {
  const { instructions, steps } = conversationOf(items);
  const turns = new Turns(textPart);
  for (const step of steps) {
    if (step.kind === "system") turns.say("user", `[system] ${textOf(step.event)}`);
    else if (step.kind === "user") turns.add("user", userParts(step.event));
    else addResponse(turns, step);
  }
  const texts = instructions.filter((text) => !isBlank(text)).map(textPart);
  const contents = turns.finish().map(({ side, blocks }) => ({ role: side, parts: blocks }));
  return { ...(texts.length === 0 ? {} : { systemInstruction: { parts: texts } }), contents };
}

function userParts(event: Event): JsonObject[] {
  const parts = piecesOf(event).flatMap((piece) => {
    const part = piece.case === "text" ? undefined : geminiMedia(piece);
    return part === undefined ? filledParts([piece]) : [part];
  });
  return parts.length > 0 ? parts : [textPart(placeholders.empty)];
}

function addResponse(turns: Turns, { said, calls }: Response): void {
  for (const event of said) {
    turns.add("model", signed(event, filledParts(piecesOf(event))));
  }
  if (calls.length === 0) return;
  const responses: JsonObject[] = [];
  for (const { event, call, result } of calls) {
    const name = functionName(call.name);
    const args = argumentsObject(call.arguments);
    turns.add("model", signed(event, [{ functionCall: { name, args } }]));
    const key = result?.isError === true ? "error" : "output";
    responses.push({ functionResponse: { name, response: { [key]: resultText(result) } } });
  }
  turns.add("user", responses);
  turns.close();
}

function filledParts(pieces: readonly Piece[]): JsonObject[] {
  return pieces
    .map(asText)
    .filter((text) => !isBlank(text))
    .map(textPart);
}

/** The parts, the last of them with the signature that came with the event, which is in base64. */
function signed(event: Event, parts: JsonObject[]): JsonObject[] {
  const signature = textAt(rawOf(event, "gemini"), "thoughtSignature");
  const last = parts.at(-1);
  if (last === undefined || signature === undefined || !/^[\w+/-]+={0,2}$/.test(signature)) {
    return parts;
  }
  return [...parts.slice(0, -1), { ...last, thoughtSignature: signature }];
}

function functionName(name: string): string {
  const legal = name.replace(/[^a-zA-Z0-9_.:-]/g, "_");
  return (/^[a-zA-Z_]/.test(legal) ? legal : `_${legal}`).slice(0, 64);
}

function textPart(text: string): JsonObject {
  return { text };
}
