import type { JsonObject } from "@bufbuild/protobuf";
import type { EventInput, RoleWord } from "@sessiond/client";
import { CallIds } from "./call-ids.ts";
import {
  asText,
  at,
  type Format,
  type Item,
  ItemError,
  objectOf,
  objectsOf,
  textAt,
  textOf,
  withRaw,
} from "./format.ts";
import { filePart, imagePart, messageInput, type PartInit, splitParts } from "./parts.ts";

const roles: Readonly<Record<string, RoleWord>> = {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
};

/** Items of OpenAI's responses API: `{"instructions", "input": […], "output": […]}`. */
export const openaiResponses: Format = {
  lists: ["input", "output", "items"],
  toEvents: (items) => {
    const ids = new CallIds();
    return items.flatMap((item) => withRaw("openai-responses", item, toEvents(item, ids)));
  },
  toFields: ({ instructions }) =>
    typeof instructions === "string" && instructions !== ""
      ? { systemInstructions: instructions }
      : {},
};

function toEvents(item: Item, ids: CallIds): EventInput[] {
  // `input` may be a bare text.
  if (typeof item.value === "string") return [messageInput("user", item.value)];
  const value = objectOf(item);
  const type = textAt(value, "type") || "message";
  const callId = textAt(value, "call_id") || textAt(value, "id");
  switch (type) {
    case "message":
      return [messageOf(value, item)];
    case "reasoning": {
      const text = [...objectsOf(at(value, "summary")), ...objectsOf(at(value, "content"))]
        .map((part) => textAt(part, "text"))
        .join("\n\n");
      return [{ thinking: { text, signature: textAt(value, "encrypted_content") } }];
    }
    case "function_call":
    case "custom_tool_call": {
      if (callId === "") throw new ItemError(item.line, `an item of type "${type}" needs call_id`);
      const args = asText(at(value, "arguments") ?? at(value, "input"));
      const name = textAt(value, "name");
      return [{ toolCall: { callId: ids.call(callId), name, arguments: args } }];
    }
    case "function_call_output":
    case "custom_tool_call_output": {
      if (callId === "") throw new ItemError(item.line, `an item of type "${type}" needs call_id`);
      return [{ toolResult: { callId: ids.result(callId), content: outputOf(value) } }];
    }
    default:
      // Tools that run at the provider, and what is newer than this: kept as it is.
      return [
        { payload: { case: "custom", value: { type: `openai-responses.${type}`.slice(0, 200) } } },
      ];
  }
}

function messageOf(value: JsonObject, { line }: Item): EventInput {
  const role = roles[textAt(value, "role")];
  if (role === undefined) {
    throw new ItemError(
      line,
      `role is ${JSON.stringify(at(value, "role") ?? null)}; it must be system, developer, user or assistant`,
    );
  }
  const { content } = value;
  if (!Array.isArray(content)) return messageInput(role, asText(content));
  const { text, parts } = splitParts(objectsOf(content), toPart);
  return messageInput(role, text, parts);
}

function outputOf({ output }: JsonObject): string {
  return Array.isArray(output) ? splitParts(objectsOf(output), toPart).text : asText(output);
}

function toPart(part: JsonObject): string | PartInit | undefined {
  switch (at(part, "type")) {
    case "input_text":
    case "output_text":
    case "text":
      return textAt(part, "text");
    case "refusal":
      return textAt(part, "refusal");
    case "input_image":
      return imagePart(textAt(part, "image_url") || textAt(part, "file_id"));
    case "input_file": {
      const uri = ["file_id", "file_url", "file_data"]
        .map((key) => textOf(part[key]))
        .find(Boolean);
      return filePart(uri ?? "", textAt(part, "filename"));
    }
    default:
      return undefined;
  }
}
