import type { JsonValue } from "@bufbuild/protobuf";
import type { EventInput } from "@sessiond/client";
import { type Event, Role } from "@sessiond/contract";
import type { Format } from "../import/format.ts";

/** What a provider takes: an item that was kept byte for byte, or events to make one of. */
export type SourceItem =
  | { readonly json: string }
  /** Events that were said together: one message with its calls, or one of anything else. */
  | { readonly events: readonly Event[] };

/** Payloads that are part of what was said. */
const said = ["message", "thinking", "toolCall", "toolResult", "output"] as const;

/**
 * Splits a log into items. Where the raw items of this form were kept they are taken as they are, with
 * the events that an import made of them; `format` is that import.
 */
export function sourceItems(
  events: readonly Event[],
  { name, format }: { name: string; format: Format },
): SourceItem[] {
  const items: SourceItem[] = [];
  let covered: EventInput[] = [];
  let open: Event[] | undefined;
  for (const event of events) {
    if (!said.some((kind) => kind === event.payload.case)) continue;
    if (event.raw?.format === name) {
      items.push({ json: event.raw.json });
      covered = madeOf(event.raw.json, format).slice(1);
      open = undefined;
      continue;
    }
    const at = covered.findIndex((input) => kindOf(input) === event.payload.case);
    if (at !== -1) {
      covered = covered.slice(at + 1);
      continue;
    }
    covered = [];
    if (open !== undefined && goesOn(open, event)) {
      open.push(event);
      continue;
    }
    open = [event];
    items.push({ events: open });
  }
  return items;
}

/** Calls, and what is said before them, are one response of a model. */
function goesOn(open: readonly Event[], { payload, group }: Event): boolean {
  const [first] = open;
  if (first?.group !== group || group === 0) return false;
  return (
    (payload.case === "toolCall" || payload.case === "message" || payload.case === "thinking") &&
    first.payload.case !== "toolResult"
  );
}

function madeOf(json: string, { toEvents }: Format): EventInput[] {
  try {
    return toEvents([{ value: JSON.parse(json) as JsonValue, json, line: 1 }]);
  } catch {
    // A raw item that somebody else made, and this import does not take.
    return [];
  }
}

function kindOf(input: EventInput): Event["payload"]["case"] {
  if ("payload" in input) return input.payload.case;
  if ("toolCall" in input) return "toolCall";
  if ("toolResult" in input) return "toolResult";
  return "thinking" in input ? "thinking" : "message";
}

export function isUser({ role }: Event): boolean {
  return role === Role.USER;
}

export function roleWord({ role }: Event): "system" | "user" | "assistant" | "tool" {
  switch (role) {
    case Role.SYSTEM:
      return "system";
    case Role.ASSISTANT:
      return "assistant";
    case Role.TOOL:
      return "tool";
    default:
      return "user";
  }
}

/** A document whose list holds items byte for byte: `before`, then the list, on one line. */
export function documentText(
  before: Readonly<Record<string, JsonValue>>,
  list: string,
  items: readonly string[],
): string {
  const members = Object.entries(before)
    .filter(([name]) => name !== list)
    .map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  // JSON lines: a raw item may stand over several lines.
  const texts = items.map((json) =>
    json.includes("\n") ? JSON.stringify(JSON.parse(json)) : json,
  );
  return `{${[...members, `${JSON.stringify(list)}: [${texts.join(", ")}]`].join(", ")}}\n`;
}
