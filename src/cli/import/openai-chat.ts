import type { JsonObject } from "@bufbuild/protobuf";
import type { EventInput, RoleWord } from "@sessiond/client";
import { CallIds } from "./call-ids.ts";
import {
  asText,
  at,
  type Format,
  type Item,
  ItemError,
  isObject,
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

/** Messages of OpenAI's chat completions API: `{"messages": [{"role", "content", …}]}`. */
export const openaiChat: Format = {
  lists: ["messages"],
  toEvents: (items) => {
    const ids = new CallIds();
    return items.flatMap((item) => withRaw("openai-chat", item, toEvents(item, ids)));
  },
};

function toEvents(item: Item, ids: CallIds): EventInput[] {
  const message = objectOf(item);
  const { role, name } = message;
  if (role === "tool" || role === "function") {
    // The old form has no ids: a function's result follows its call.
    const id = textAt(message, "tool_call_id") || textOf(name);
    if (id === "") throw new ItemError(item.line, `a message of role "${role}" needs tool_call_id`);
    return [{ toolResult: { callId: ids.result(id), content: contentOf(message).text } }];
  }
  const voice = roles[textOf(role)];
  if (voice === undefined) {
    throw new ItemError(
      item.line,
      `role is ${JSON.stringify(role ?? null)}; it must be system, developer, user, assistant, tool or function`,
    );
  }
  const calls = callsOf(message, item).map(({ id, ...call }) => ({
    toolCall: { callId: ids.call(id), ...call },
  }));
  const { text, parts } = contentOf(message);
  const isEmpty = text === "" && parts.length === 0;
  const said = isEmpty && calls.length > 0 ? [] : [messageInput(voice, text, parts)];
  const events: EventInput[] = [...said, ...calls];
  const author = textOf(name);
  return author === "" ? events : events.map((event) => ({ ...event, author }) as EventInput);
}

function contentOf(message: JsonObject): { text: string; parts: PartInit[] } {
  const content = at(message, "content") ?? at(message, "refusal");
  if (!Array.isArray(content)) return { text: asText(content), parts: [] };
  return splitParts(objectsOf(content), (part) => {
    const { type, image_url: image, file } = part;
    if (type === "text" || type === "refusal") return textOf(part[type]);
    if (type === "image_url") return imagePart(textOf(isObject(image) ? at(image, "url") : image));
    if (type === "file" && isObject(file)) {
      const uri = textAt(file, "file_id") || textAt(file, "file_data");
      return filePart(uri, textAt(file, "filename"));
    }
    return undefined;
  });
}

function callsOf(message: JsonObject, { line }: Item) {
  const old = at(message, "function_call");
  const calls = objectsOf(at(message, "tool_calls")).map((call) => {
    const id = textAt(call, "id");
    // Custom tools have a name and a free text as input.
    const tool = at(call, "function") ?? at(call, "custom");
    if (id === "" || !isObject(tool))
      throw new ItemError(line, "a tool call needs id and function");
    return {
      id,
      name: textAt(tool, "name"),
      arguments: asText(at(tool, "arguments") ?? at(tool, "input")),
    };
  });
  if (calls.length > 0 || !isObject(old)) return calls;
  const name = textAt(old, "name");
  return [{ id: name, name, arguments: asText(at(old, "arguments")) }];
}
