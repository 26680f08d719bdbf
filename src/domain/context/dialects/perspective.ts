import { create } from "@bufbuild/protobuf";
import { type Event, MessageSchema, type Part, Role } from "@sessiond/contract";

/**
 * The event as another agent should see it: a text of the user's side, labelled with its author's
 * name. `tool` is the name of the tool that a result comes from; empty where it is not known.
 *
 * Place, author and protection stay, and so do images and files; tokens and the provider's own form
 * are left out, because they are no longer those of the text. Approvals, records and structures are
 * nobody's voice and come back as they are.
 */
export function labelled(event: Event, tool: string): Event {
  const said = saidBy(event, tool);
  if (said === undefined) return event;
  const { tokens: _tokens, raw: _raw, ...rest } = event;
  const value = create(MessageSchema, said);
  return { ...rest, role: Role.USER, payload: { case: "message", value } };
}

function saidBy(
  { author, payload }: Event,
  tool: string,
): { text: string; parts?: Part[] } | undefined {
  const name = `[${author || "another agent"}]`;
  switch (payload.case) {
    case "message":
      return { text: `${name} said: ${payload.value.text}`, parts: payload.value.parts };
    case "output":
      // A result that is only a structure is shown as JSON by itself.
      return payload.value.text === ""
        ? undefined
        : { text: `${name} said: ${payload.value.text}` };
    case "thinking":
      return { text: `${name} thought: ${payload.value.text}` };
    case "toolCall":
      return { text: `${name} called ${payload.value.name} with ${payload.value.arguments}` };
    case "toolResult": {
      const owner = author === "" ? `[${tool || "a tool"}]` : `${name}'s ${tool || "tool"}`;
      const verb = payload.value.isError ? "failed" : "answered";
      return { text: `${owner} ${verb}: ${payload.value.content}`, parts: payload.value.parts };
    }
    default:
      return undefined;
  }
}
