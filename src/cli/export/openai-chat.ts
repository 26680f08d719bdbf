import type { JsonObject } from "@bufbuild/protobuf";
import type { Event, Part } from "@sessiond/contract";
import { openaiChat } from "../import/openai-chat.ts";
import type { Conversation } from "./conversation.ts";
import { documentText, roleWord, sourceItems } from "./items.ts";
import { contentOf } from "./parts.ts";

/** A line of `{"messages": […]}` as OpenAI's chat completions API takes them. Thinking has no place. */
export function openaiChatDocument({ session, events }: Conversation): string {
  const source = { name: "openai-chat", format: openaiChat };
  const items = sourceItems(events, source).flatMap((item) =>
    "json" in item ? [item.json] : messages(item.events).map((message) => JSON.stringify(message)),
  );
  const { systemInstructions, metadata = {}, model } = session;
  const system =
    systemInstructions === ""
      ? []
      : [JSON.stringify({ role: "system", content: systemInstructions })];
  const fields = model === "" ? metadata : { model, ...metadata };
  return documentText(fields, "messages", [...system, ...items]);
}

function messages(events: readonly Event[]): JsonObject[] {
  const [first] = events;
  if (first?.payload.case === "toolResult") {
    const { callId, content } = first.payload.value;
    return [{ role: "tool", tool_call_id: callId, content }];
  }
  const name = first?.author ? { name: first.author } : {};
  const calls: JsonObject[] = [];
  let said: JsonObject | undefined;
  for (const { payload, ...event } of events) {
    if (payload.case === "toolCall") {
      const { callId: id, name: tool, arguments: args } = payload.value;
      calls.push({ id, type: "function", function: { name: tool, arguments: args } });
    } else if (payload.case === "message") {
      const { text, parts } = payload.value;
      const role = roleWord({ ...event, payload });
      said = { role, content: contentOf(text, parts, toText, toPart), ...name };
    } else if (payload.case === "output") {
      said = { role: "assistant", content: payload.value.text, ...name };
    }
  }
  if (calls.length === 0) return said === undefined ? [] : [said];
  return [{ ...(said ?? { role: "assistant", content: null, ...name }), tool_calls: calls }];
}

function toText(text: string): JsonObject {
  return { type: "text", text };
}

function toPart({ content }: Part): JsonObject | undefined {
  switch (content.case) {
    case "image":
      return { type: "image_url", image_url: { url: content.value.uri } };
    case "file":
      return {
        type: "file",
        file: {
          file_id: content.value.uri,
          ...(content.value.name && { filename: content.value.name }),
        },
      };
    default:
      return undefined;
  }
}
