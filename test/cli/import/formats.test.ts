import { Role } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { anthropic } from "../../../src/cli/import/anthropic.ts";
import type { Format } from "../../../src/cli/import/format.ts";
import { openaiChat } from "../../../src/cli/import/openai-chat.ts";
import { openaiResponses } from "../../../src/cli/import/openai-responses.ts";
import { transcriptEvents } from "../../../src/cli/import/transcript.ts";

/** Events of messages; each message stands on a line of its own. */
function eventsOf(format: Format, messages: readonly unknown[]) {
  const items = messages.map((value, index) => ({
    value: value as never,
    json: JSON.stringify(value),
    line: index + 1,
  }));
  return format.toEvents(items);
}

const rawsOf = (events: readonly object[]) =>
  events.flatMap((event) =>
    "raw" in event ? [JSON.parse((event.raw as { json: string }).json)] : [],
  );

describe("openai-chat", () => {
  const call = (id: string) => ({ id, function: { name: "flights", arguments: '{"to": "HND"}' } });

  test("a message with text and calls becomes a message and its calls; the first has the raw item", () => {
    const messages = [
      { role: "developer", content: "Be brief." },
      { role: "user", name: "alice", content: [{ type: "text", text: "To Tokyo" }] },
      { role: "assistant", content: "Let me look.", tool_calls: [call("c1"), call("c2")] },
      { role: "tool", tool_call_id: "c1", content: "3 flights" },
    ];
    const events = eventsOf(openaiChat, messages);
    expect(events).toMatchObject([
      { role: "system", text: "Be brief." },
      { role: "user", author: "alice", text: "To Tokyo" },
      { role: "assistant", text: "Let me look." },
      { toolCall: { callId: "c1", name: "flights", arguments: '{"to": "HND"}' } },
      { toolCall: { callId: "c2" } },
      { toolResult: { callId: "c1", content: "3 flights" } },
    ]);
    expect(rawsOf(events)).toEqual(messages);
  });

  test("ids that are used again stay unique, and results follow the newest call", () => {
    const turn = [
      { role: "assistant", content: null, tool_calls: [call("c1")] },
      { role: "tool", tool_call_id: "c1", content: "x" },
    ];
    expect(eventsOf(openaiChat, [...turn, ...turn])).toMatchObject([
      { toolCall: { callId: "c1" } },
      { toolResult: { callId: "c1" } },
      { toolCall: { callId: "c1#2" } },
      { toolResult: { callId: "c1#2" } },
    ]);
  });

  test("functions of the old form pair by name", () => {
    const events = eventsOf(openaiChat, [
      { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
      { role: "function", name: "f", content: "done" },
    ]);
    expect(events).toMatchObject([
      { toolCall: { callId: "f", name: "f", arguments: "{}" } },
      { toolResult: { callId: "f", content: "done" } },
    ]);
  });

  test("images are references, and their bytes stay in the raw item only", () => {
    const url = `data:image/png;base64,${"A".repeat(20_000)}`;
    const content = [
      { type: "text", text: "Look" },
      { type: "image_url", image_url: { url } },
    ];
    const [event] = eventsOf(openaiChat, [{ role: "user", content }]);
    const part = {
      content: {
        case: "image",
        value: { mediaType: "image/png", uri: expect.stringMatching(/^sha256:/) },
      },
    };
    expect(event).toMatchObject({
      role: Role.USER,
      payload: { value: { text: "Look", parts: [part] } },
    });
  });

  test.each([
    [{ role: "robot", content: "x" }, /role is "robot"/],
    [{ role: "tool", content: "x" }, /needs tool_call_id/],
    [{ role: "assistant", tool_calls: [{ id: "x" }] }, /needs id and function/],
    ["text", /must be a JSON object/],
  ])("what is wrong is named with its line: %j", (message, problem) => {
    const messages = [{ role: "user", content: "hello" }, message];
    expect(() => eventsOf(openaiChat, messages)).toThrow(
      expect.objectContaining({ line: 2, message: expect.stringMatching(problem) }),
    );
  });
});

test("anthropic: blocks become messages, thinking, calls and results, in order", () => {
  const messages = [
    { role: "user", content: "To Tokyo" },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm", signature: "s1" },
        { type: "text", text: "Let me" },
        { type: "text", text: "look." },
        { type: "tool_use", id: "t1", name: "flights", input: { to: "HND" } },
      ],
    },
    {
      role: "user",
      content: [
        {
          type: "tool_result",
          tool_use_id: "t1",
          is_error: true,
          content: [{ type: "text", text: "down" }],
        },
        { type: "text", text: "Well?" },
      ],
    },
  ];
  const events = eventsOf(anthropic, messages);
  expect(events).toMatchObject([
    { role: "user", text: "To Tokyo" },
    { thinking: { text: "hm", signature: "s1" } },
    { role: "assistant", text: "Let me\n\nlook." },
    { toolCall: { callId: "t1", name: "flights", arguments: '{"to":"HND"}' } },
    { toolResult: { callId: "t1", content: "down", isError: true } },
    { role: "user", text: "Well?" },
  ]);
  expect(rawsOf(events)).toEqual(messages);
  const system = [{ type: "text", text: "Be brief." }];
  expect(anthropic.toFields?.({ system })).toEqual({ systemInstructions: "Be brief." });
});

test("openai-responses: items become messages, thinking, calls and results, and others are kept", () => {
  const items = [
    { role: "user", content: "To Tokyo" },
    { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }], encrypted_content: "e" },
    { type: "function_call", call_id: "c1", name: "flights", arguments: "{}" },
    { type: "function_call_output", call_id: "c1", output: "3 flights" },
    { type: "web_search_call", id: "w1", status: "completed" },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "Three." }] },
  ];
  const events = eventsOf(openaiResponses, items);
  expect(events).toMatchObject([
    { role: "user", text: "To Tokyo" },
    { thinking: { text: "hm", signature: "e" } },
    { toolCall: { callId: "c1", name: "flights", arguments: "{}" } },
    { toolResult: { callId: "c1", content: "3 flights" } },
    { payload: { case: "custom", value: { type: "openai-responses.web_search_call" } } },
    { role: "assistant", text: "Three." },
  ]);
  expect(rawsOf(events)).toEqual(items);
});

test("transcript: a word and a colon begin a message, further lines belong to it", () => {
  expect(transcriptEvents("User: hello\nNote: this\n\nAI: hi\r\nHUMAN:\nbye\n")).toEqual([
    { role: "user", text: "hello\nNote: this" },
    { role: "assistant", text: "hi" },
    { role: "user", text: "bye" },
  ]);
  expect(() => transcriptEvents("\nonce upon a time")).toThrow(
    expect.objectContaining({ line: 2 }),
  );
});
