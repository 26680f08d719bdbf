import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
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

/** Messages of Anthropic's messages API: `{"system", "messages": [{"role", "content"}]}`. */
export const anthropic: Format = {
  lists: ["messages"],
  toEvents: (items) => {
    const ids = new CallIds();
    return items.flatMap((item) => withRaw("anthropic", item, toEvents(item, ids)));
  },
  toFields: ({ system }) => {
    const systemInstructions = textAndParts(system).text;
    return systemInstructions === "" ? {} : { systemInstructions };
  },
};

function toEvents(item: Item, ids: CallIds): EventInput[] {
  const { role, content } = objectOf(item);
  if (role !== "user" && role !== "assistant") {
    throw new ItemError(
      item.line,
      `role is ${JSON.stringify(role ?? null)}; it must be user or assistant`,
    );
  }
  if (!Array.isArray(content)) return [messageInput(role, asText(content))];
  const events = groupsOf(objectsOf(content)).flatMap((group) => groupEvents(group, role, ids));
  return events.length > 0 ? events : [messageInput(role, "")];
}

/** Blocks that are said together become one message; each of the others is an event of its own. */
function groupsOf(blocks: readonly JsonObject[]): JsonObject[][] {
  const groups: JsonObject[][] = [];
  for (const block of blocks) {
    const last = groups.at(-1);
    if (last?.[0] !== undefined && isSaid(last[0]) && isSaid(block)) last.push(block);
    else groups.push([block]);
  }
  return groups;
}

const ownEvents = ["tool_use", "server_tool_use", "tool_result", "thinking", "redacted_thinking"];

function isSaid({ type }: JsonObject): boolean {
  return !ownEvents.includes(textOf(type));
}

function groupEvents(group: JsonObject[], role: RoleWord, ids: CallIds): EventInput[] {
  const [block = {}] = group;
  switch (at(block, "type")) {
    case "tool_use":
    case "server_tool_use": {
      const { id, name, input } = block;
      const callId = ids.call(textOf(id));
      return [{ toolCall: { callId, name: textOf(name), arguments: asText(input) } }];
    }
    case "tool_result": {
      const { tool_use_id: id, content, is_error: isError } = block;
      const callId = ids.result(textOf(id));
      return [{ toolResult: { callId, content: resultText(content), isError: isError === true } }];
    }
    case "thinking":
      return [
        { thinking: { text: textAt(block, "thinking"), signature: textAt(block, "signature") } },
      ];
    case "redacted_thinking":
      return [{ thinking: { signature: textAt(block, "data") } }];
    default: {
      const { text, parts } = splitParts(group, toPart);
      return text === "" && parts.length === 0 ? [] : [messageInput(role, text, parts)];
    }
  }
}

/** Images in a result stay in the raw item. */
function resultText(content: JsonValue | undefined): string {
  return textAndParts(content).text;
}

function textAndParts(content: JsonValue | undefined): { text: string; parts: PartInit[] } {
  if (!Array.isArray(content)) return { text: asText(content), parts: [] };
  return splitParts(objectsOf(content), toPart);
}

function toPart(block: JsonObject): string | PartInit | undefined {
  const { type, source, title } = block;
  if (type === "text") return textAt(block, "text");
  if (!isObject(source)) return undefined;
  const uri = textAt(source, "url") || textAt(source, "file_id") || textAt(source, "data");
  // Bytes in base64 are referred to by their hash.
  const reference = at(source, "type") === "base64" ? `data:,${uri}` : uri;
  if (type === "image") return imagePart(reference, textAt(source, "media_type"));
  return type === "document" ? filePart(reference, textOf(title)) : undefined;
}
