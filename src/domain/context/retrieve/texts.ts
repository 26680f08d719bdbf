import type { Event, Part } from "@sessiond/contract";

/** The texts of an event by which it can be found. Empty: by none, as for records. */
export function textsOf(event: Event): string[] {
  const { payload } = event;
  switch (payload.case) {
    case "message":
      return [event.author, payload.value.text, ...payload.value.parts.map(partText)];
    case "thinking":
    case "output":
      return [event.author, payload.value.text];
    case "toolCall":
      return [payload.value.name, payload.value.arguments];
    case "toolResult":
      return [payload.value.content, ...payload.value.parts.map(partText)];
    case "approvalRequest":
      return [payload.value.prompt];
    case "approvalResponse":
      return [payload.value.reason];
    case "error":
      return [payload.value.code, payload.value.message];
    case "handoff":
      return [payload.value.from, payload.value.to, payload.value.reason];
    default:
      return [];
  }
}

function partText({ content }: Part): string {
  switch (content.case) {
    case "text":
      return content.value;
    case "image":
      return content.value.uri;
    case "file":
      return `${content.value.name} ${content.value.uri}`;
    default:
      return "";
  }
}
