import type { JsonObject } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "@sessiond/contract";
import { json } from "../import/json.ts";
import type { Conversation } from "./conversation.ts";
import { roleWord, sourceItems } from "./items.ts";

/** `{conversation_id, exported_at, messages}`, indented: what was said, for people and small programs. */
export function jsonDocument(
  { session, events }: Conversation,
  exportedAt: string | undefined,
): string {
  const document = {
    conversation_id: session.sessionId,
    ...(exportedAt !== undefined && { exported_at: exportedAt }),
    ...(session.systemInstructions !== "" && { system: session.systemInstructions }),
    messages: sourceItems(events, { name: "json", format: json }).flatMap((item) =>
      "json" in item ? [JSON.parse(item.json) as JsonObject] : item.events.flatMap(toMessage),
    ),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function toMessage(event: Event): JsonObject[] {
  const { payload, author, createTime } = event;
  const voice = {
    ...(author !== "" && { name: author }),
    ...(createTime && { created_at: timestampDate(createTime).toISOString() }),
  };
  switch (payload.case) {
    case "message": {
      const texts = payload.value.parts.flatMap(({ content }) =>
        content.case === "text" ? [content.value] : [],
      );
      const content = [payload.value.text, ...texts].filter((text) => text !== "").join("\n\n");
      return [{ role: roleWord(event), content, ...voice }];
    }
    case "output":
      return [{ role: "assistant", content: payload.value.text, ...voice }];
    case "toolCall": {
      const { callId, name, arguments: args } = payload.value;
      const call = { id: callId, type: "function", function: { name, arguments: args } };
      return [{ role: "assistant", content: null, ...voice, tool_calls: [call] }];
    }
    case "toolResult": {
      const { callId, content } = payload.value;
      return [{ role: "tool", tool_call_id: callId, content, ...voice }];
    }
    default:
      return [];
  }
}
