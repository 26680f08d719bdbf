import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema, Role, SessionSchema } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { toEventInit } from "../../../sdk/client/src/event-input.ts";
import { anthropicDocument } from "../../../src/cli/export/anthropic.ts";
import { openaiChatDocument } from "../../../src/cli/export/openai-chat.ts";
import { openaiResponsesDocument } from "../../../src/cli/export/openai-responses.ts";
import { transcriptDocument } from "../../../src/cli/export/transcript.ts";
import { anthropic } from "../../../src/cli/import/anthropic.ts";
import type { Format, Item } from "../../../src/cli/import/format.ts";
import { openaiChat } from "../../../src/cli/import/openai-chat.ts";
import { openaiResponses } from "../../../src/cli/import/openai-responses.ts";
import { loadRuns } from "../../e2e/demo/runs.ts";

const session = create(SessionSchema, { sessionId: "s" });

/** The events an import makes of items, as a log has them, each response in a group of its own. */
function logOf(format: Format, items: readonly unknown[]): Event[] {
  let group = 0;
  let before: Role | undefined;
  return format.toEvents(items.map(itemOf)).map((input, index) => {
    const event = create(EventSchema, { ...toEventInit(input), revision: index + 1 });
    const { payload } = event;
    if (payload.case === "toolCall" || payload.case === "thinking") event.role = Role.ASSISTANT;
    if (payload.case === "toolResult") event.role = Role.TOOL;
    const isResponse = event.role === Role.ASSISTANT;
    if (!isResponse || before !== Role.ASSISTANT || payload.case === "message") group = index + 1;
    before = event.role;
    event.group = group;
    return event;
  });
}

function itemOf(value: unknown): Item {
  return { value: value as Item["value"], json: JSON.stringify(value), line: 1 };
}

function withoutRaw(events: readonly Event[]): Event[] {
  return events.map(({ raw: _raw, ...event }) => event);
}

/** What was said, without how it is kept. */
function told(events: readonly Event[]) {
  return events.map(({ role, payload }) => [role, payload]);
}

const dialects = {
  "openai-chat": { format: openaiChat, document: openaiChatDocument, list: "messages" },
  "openai-responses": { format: openaiResponses, document: openaiResponsesDocument, list: "input" },
  anthropic: { format: anthropic, document: anthropicDocument, list: "messages" },
} as const;

const { runs } = loadRuns();

describe("recorded runs of OpenAI chat", () => {
  test("come out equal, item for item, where their raw items were kept", () => {
    expect(runs.length).toBeGreaterThan(1);
    for (const { messages } of runs) {
      const text = openaiChatDocument({ session, events: logOf(openaiChat, messages) });
      expect(JSON.parse(text)).toEqual({ messages });
      // Byte for byte.
      for (const message of messages) expect(text).toContain(JSON.stringify(message));
    }
  });

  test.each(Object.entries(dialects))(
    "say the same as %s and back, without raw items",
    (name, dialect) => {
      for (const { messages } of runs.slice(0, 20)) {
        const events = withoutRaw(logOf(openaiChat, messages));
        const document = JSON.parse(dialect.document({ session, events })) as Record<
          string,
          unknown[]
        >;
        const again = withoutRaw(logOf(dialect.format, document[dialect.list] ?? []));
        // In Anthropic's form the system prompt is no message, and arguments are no text.
        const isSaid = ({ role }: Event) => name !== "anthropic" || role !== Role.SYSTEM;
        expect(told(again).map(normal)).toEqual(told(events.filter(isSaid)).map(normal));
      }
    },
  );
});

/** Arguments as values: one form keeps them as text, another as JSON. */
function normal([role, payload]: ReturnType<typeof told>[number]) {
  const { case: kind, value } = payload as Event["payload"];
  if (kind !== "toolCall") return [role, kind, value];
  return [role, kind, value.callId, value.name, JSON.parse(value.arguments || "{}")];
}

test("a transcript cannot be ended by what it quotes", () => {
  const events = logOf(openaiChat, [
    { role: "assistant", tool_calls: [{ id: "1", function: { name: "f", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "1", content: "```\n# not a title\n````" },
  ]);
  const text = transcriptDocument({ session, events });
  expect(text).toContain("`````\n```\n# not a title\n````\n`````");
});
