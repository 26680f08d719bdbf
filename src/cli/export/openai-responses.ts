import type { JsonObject } from "@bufbuild/protobuf";
import type { Event, Part } from "@sessiond/contract";
import { openaiResponses } from "../import/openai-responses.ts";
import type { Conversation } from "./conversation.ts";
import { documentText, roleWord, sourceItems } from "./items.ts";
import { contentOf } from "./parts.ts";

/** A line of `{"instructions", "input": […]}` as OpenAI's responses API takes them. */
export function openaiResponsesDocument({ session, events }: Conversation): string {
  const source = { name: "openai-responses", format: openaiResponses };
  const items = sourceItems(events, source).flatMap((item) =>
    "json" in item
      ? [item.json]
      : item.events.flatMap(toItem).map((value) => JSON.stringify(value)),
  );
  const { systemInstructions: instructions, metadata = {}, model } = session;
  const fields = {
    ...(model !== "" && { model }),
    ...(instructions !== "" && { instructions }),
    ...metadata,
  };
  return documentText(fields, "input", items);
}

function toItem(event: Event): JsonObject[] {
  const { payload } = event;
  switch (payload.case) {
    case "message": {
      const { text, parts } = payload.value;
      const role = roleWord(event);
      const type = role === "assistant" ? "output_text" : "input_text";
      const content = contentOf(text, parts, (said) => ({ type, text: said }), toPart);
      return [{ type: "message", role, content }];
    }
    case "output":
      return [{ type: "message", role: "assistant", content: payload.value.text }];
    case "thinking": {
      const { text, signature } = payload.value;
      const summary = text === "" ? [] : [{ type: "summary_text", text }];
      return [
        { type: "reasoning", summary, ...(signature !== "" && { encrypted_content: signature }) },
      ];
    }
    case "toolCall": {
      const { callId, name, arguments: args } = payload.value;
      return [{ type: "function_call", call_id: callId, name, arguments: args }];
    }
    case "toolResult": {
      const { callId, content } = payload.value;
      return [{ type: "function_call_output", call_id: callId, output: content }];
    }
    default:
      return [];
  }
}

function toPart({ content }: Part): JsonObject | undefined {
  switch (content.case) {
    case "image":
      return { type: "input_image", image_url: content.value.uri };
    case "file":
      return {
        type: "input_file",
        file_id: content.value.uri,
        ...(content.value.name && { filename: content.value.name }),
      };
    default:
      return undefined;
  }
}
