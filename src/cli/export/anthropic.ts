import type { JsonObject } from "@bufbuild/protobuf";
import { type Event, type Part, Role } from "@sessiond/contract";
import { anthropic } from "../import/anthropic.ts";
import type { Conversation } from "./conversation.ts";
import { documentText, sourceItems } from "./items.ts";
import { argumentsOf } from "./parts.ts";

/**
 * A line of `{"system", "messages": […]}` as Anthropic's messages API takes them. System messages join
 * the system prompt; what one side says at a stretch is one message.
 */
export function anthropicDocument({ session, events }: Conversation): string {
  const { systemInstructions, metadata = {}, model } = session;
  const system = [systemInstructions];
  const items: string[] = [];
  let open: { role: string; content: JsonObject[] } | undefined;
  const close = () => {
    if (open !== undefined) items.push(JSON.stringify(open));
    open = undefined;
  };
  for (const item of sourceItems(events, { name: "anthropic", format: anthropic })) {
    if ("json" in item) {
      close();
      items.push(item.json);
      continue;
    }
    for (const event of item.events) {
      const { payload } = event;
      if (event.role === Role.SYSTEM && payload.case === "message") {
        system.push(payload.value.text);
        continue;
      }
      const content = blocks(event);
      if (content.length === 0) continue;
      const isAssistant = event.role === Role.ASSISTANT;
      const role = isAssistant ? "assistant" : "user";
      if (open?.role !== role) close();
      open ??= { role, content: [] };
      open.content.push(...content);
    }
  }
  close();
  const prompt = system.filter((text) => text !== "").join("\n\n");
  const fields = {
    ...(model !== "" && { model }),
    ...(prompt !== "" && { system: prompt }),
    ...metadata,
  };
  return documentText(fields, "messages", items);
}

function blocks({ payload }: Event): JsonObject[] {
  switch (payload.case) {
    case "message": {
      const { text, parts } = payload.value;
      const others = parts.map(toBlock).filter((block) => block !== undefined);
      return text === "" ? others : [{ type: "text", text }, ...others];
    }
    case "output":
      return payload.value.text === "" ? [] : [{ type: "text", text: payload.value.text }];
    case "thinking": {
      const { text, signature } = payload.value;
      return text === ""
        ? [{ type: "redacted_thinking", data: signature }]
        : [{ type: "thinking", thinking: text, signature }];
    }
    case "toolCall": {
      const { callId, name, arguments: args } = payload.value;
      return [{ type: "tool_use", id: callId, name, input: argumentsOf(args) }];
    }
    case "toolResult": {
      const { callId, content, isError } = payload.value;
      return [
        { type: "tool_result", tool_use_id: callId, content, ...(isError && { is_error: true }) },
      ];
    }
    default:
      return [];
  }
}

function toBlock({ content }: Part): JsonObject | undefined {
  switch (content.case) {
    case "text":
      return { type: "text", text: content.value };
    case "image":
      return { type: "image", source: { type: "url", url: content.value.uri } };
    case "file": {
      const { uri, name } = content.value;
      return { type: "document", source: { type: "url", url: uri }, ...(name && { title: name }) };
    }
    default:
      return undefined;
  }
}
