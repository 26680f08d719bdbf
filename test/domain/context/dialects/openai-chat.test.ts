import { Dialect, type WindowItem } from "@sessiond/contract";
import { expect, test } from "vitest";
import { render } from "../../../../src/domain/context/dialects/render.ts";
import {
  assistant,
  call,
  conversation,
  eventOf,
  file,
  image,
  itemsOf,
  pixel,
  result,
  shown,
  system,
  thinking,
  user,
} from "./support.ts";

const rendered = (items: WindowItem[]) => render(Dialect.OPENAI_CHAT, items);

test("a conversation becomes messages of OpenAI's chat completions", () => {
  expect(rendered(conversation())).toEqual([
    { role: "system", content: "You find bugs." },
    { role: "user", content: "Summary of what came before (untrusted): the build broke." },
    {
      role: "user",
      content: [
        { type: "text", text: "What is on this screen?" },
        { type: "image_url", image_url: { url: pixel } },
      ],
    },
    {
      role: "assistant",
      name: "debugger",
      content: "I look at the log and the code.",
      tool_calls: [
        {
          id: "call_log",
          type: "function",
          function: { name: "read_log", arguments: '{"lines": 20}' },
        },
        {
          id: "call_code",
          type: "function",
          function: { name: "read_file", arguments: '{"path":"a.ts"}' },
        },
      ],
    },
    { role: "tool", tool_call_id: "call_log", content: "TypeError at a.ts:7" },
    { role: "tool", tool_call_id: "call_code", content: "no such file" },
    { role: "user", content: "[researcher] said: a.ts was moved to b.ts." },
    { role: "assistant", name: "debugger", content: "The file was moved." },
  ]);
});

test("Never rejected: a message without text has no content only where it calls tools", () => {
  const items = itemsOf(
    assistant("", { group: 1 }),
    call("a", "f", "{}", { group: 2 }),
    result("a", "", { group: 2 }),
  );
  expect(rendered(items)).toEqual([
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "a", content: "" },
  ]);
});

test("Never rejected: an id of 41 characters, or with others than letters, digits, _ and -, is replaced at call and result", () => {
  for (const id of ["x".repeat(41), "call 1", "call_1#2"]) {
    const [message, answer] = rendered(itemsOf(call(id, "f"), result(id, "1"))) as [
      { tool_calls: [{ id: string }] },
      { tool_call_id: string },
    ];
    expect(message.tool_calls[0].id).toMatch(/^call_[0-9a-f]{24}$/);
    expect(answer.tool_call_id).toBe(message.tool_calls[0].id);
  }
});

test("Never rejected: two calls with one id are told apart, each with its own result", () => {
  const items = itemsOf(call("a", "f"), call("a", "g"), result("a", "1"), result("a", "2"));
  const [message, first, second] = rendered(items) as [
    { tool_calls: { id: string }[] },
    { tool_call_id: string; content: string },
    { tool_call_id: string; content: string },
  ];
  expect(message.tool_calls.map(({ id }) => id)).toEqual(["a", second.tool_call_id]);
  expect([first.tool_call_id, first.content, second.content]).toEqual(["a", "1", "2"]);
  expect(second.tool_call_id).not.toBe("a");
});

test("Never rejected: names of functions are made legal, names of authors are left out", () => {
  const items = itemsOf(
    user("hello", { author: "Ana María" }),
    call("a", "files.read file", "{}", { author: "my agent" }),
    result("a", "1"),
  );
  expect(rendered(items)).toMatchObject([
    { role: "user", content: "hello" },
    { tool_calls: [{ function: { name: "files_read_file" } }] },
    {},
  ]);
  expect(JSON.stringify(rendered(items))).not.toMatch(/Ana|my agent/);
});

test("Never rejected: images stand in user messages, and are text references elsewhere", () => {
  const parts = [image("https://example.com/a.png"), image("s3://bucket/b.png")];
  const items = itemsOf(
    shown("see", ...parts),
    assistant("", { group: 2, payload: { case: "message", value: { text: "drawn", parts } } }),
    call("a", "f", "{}", { group: 3 }),
    eventOf({
      group: 3,
      payload: { case: "toolResult", value: { callId: "a", content: "shot", parts } },
    }),
  );
  const references = ["[image: https://example.com/a.png]", "[image: s3://bucket/b.png]"];
  expect(rendered(items)).toMatchObject([
    {
      content: [
        { type: "text", text: "see" },
        { type: "image_url", image_url: { url: "https://example.com/a.png" } },
        { type: "text", text: references[1] },
      ],
    },
    { content: ["drawn", ...references].map((text) => ({ type: "text", text })) },
    {},
    { role: "tool", content: ["shot", ...references].join("\n") },
  ]);
});

test("an image of a type that OpenAI does not read, and a file, are text references", () => {
  const items = itemsOf(
    shown(
      "",
      image("https://example.com/a.svg", "image/svg+xml"),
      image("data:image/png,raw"),
      file("https://example.com/b.pdf", "application/pdf", "b.pdf"),
    ),
  );
  const texts = [
    "[image: https://example.com/a.svg]",
    "[image: data:image/png]",
    "[file: b.pdf https://example.com/b.pdf]",
  ];
  expect(rendered(items)).toEqual([
    { role: "user", content: texts.map((text) => ({ type: "text", text })) },
  ]);
});

test("Never rejected: arguments that are no JSON object are wrapped in one", () => {
  const args = ['{"a": 1 }', "", "[1,2]", '{"cut": "of'];
  const events = args.map((text, index) => call(`c${index}`, "f", text));
  const results = args.map((_, index) => result(`c${index}`, "1"));
  const [message] = rendered(itemsOf(...events, ...results)) as [
    { tool_calls: { function: { arguments: string } }[] },
  ];
  expect(message.tool_calls.map((made) => made.function.arguments)).toEqual([
    '{"a": 1 }',
    "{}",
    '{"arguments":[1,2]}',
    '{"arguments":"{\\"cut\\": \\"of"}',
  ]);
});

test("a system message in the middle stays one, an empty user message gets a placeholder", () => {
  expect(rendered(itemsOf(user(""), system("Be brief."), user(" ")))).toEqual([
    { role: "user", content: "[empty]" },
    { role: "system", content: "Be brief." },
    { role: "user", content: " " },
  ]);
});

test("thinking, approvals, errors and progress of calls have no place in messages", () => {
  const items = itemsOf(
    thinking("hm"),
    call("a", "f"),
    eventOf({ payload: { case: "approvalRequest", value: { approvalId: "p", callId: "a" } } }),
    eventOf({ payload: { case: "approvalResponse", value: { approvalId: "p", approved: true } } }),
    eventOf({
      payload: { case: "toolResult", value: { callId: "a", content: "½", isFinal: false } },
    }),
    result("a", "done"),
    eventOf({ group: 9, payload: { case: "error", value: { code: "x" } } }),
  );
  expect(rendered(items)).toMatchObject([
    { role: "assistant", tool_calls: [{ id: "a" }] },
    { role: "tool", content: "done" },
  ]);
});

test("Never rejected: an empty window is a message of the user", () => {
  expect(rendered([])).toEqual([{ role: "user", content: "[The conversation begins here.]" }]);
});

test("a call behind a result is another response, even in one group", () => {
  const items = itemsOf(call("a", "f"), result("a", "1"), call("b", "f"), result("b", "2"));
  expect(rendered(items)).toMatchObject([
    { role: "assistant", tool_calls: [{ id: "a" }] },
    { role: "tool", tool_call_id: "a" },
    { role: "assistant", tool_calls: [{ id: "b" }] },
    { role: "tool", tool_call_id: "b" },
  ]);
});
