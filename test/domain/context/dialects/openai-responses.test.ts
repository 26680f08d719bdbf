import { Dialect, type WindowItem } from "@sessiond/contract";
import { expect, test } from "vitest";
import { render } from "../../../../src/domain/context/dialects/render.ts";
import {
  assistant,
  call,
  conversation,
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

const rendered = (items: WindowItem[]) => render(Dialect.OPENAI_RESPONSES, items);

const reasoning = (id: string) => ({
  type: "reasoning",
  id,
  summary: [{ type: "summary_text", text: "Look." }],
  encrypted_content: `secret of ${id}`,
});
const thought = (item: object, group = 1) =>
  thinking("Look.", "", { group, raw: { format: "openai-responses", json: JSON.stringify(item) } });

test("a conversation becomes input items of OpenAI's responses", () => {
  const inputText = (text: string) => ({ type: "input_text", text });
  expect(rendered(conversation())).toEqual([
    { type: "message", role: "system", content: [inputText("You find bugs.")] },
    {
      type: "message",
      role: "user",
      content: [inputText("Summary of what came before (untrusted): the build broke.")],
    },
    {
      type: "message",
      role: "user",
      content: [
        inputText("What is on this screen?"),
        { type: "input_image", image_url: pixel, detail: "auto" },
      ],
    },
    {
      type: "message",
      role: "assistant",
      content: [{ type: "output_text", text: "I look at the log and the code." }],
    },
    { type: "function_call", call_id: "call_log", name: "read_log", arguments: '{"lines": 20}' },
    {
      type: "function_call",
      call_id: "call_code",
      name: "read_file",
      arguments: '{"path":"a.ts"}',
    },
    { type: "function_call_output", call_id: "call_log", output: "TypeError at a.ts:7" },
    { type: "function_call_output", call_id: "call_code", output: "no such file" },
    {
      type: "message",
      role: "user",
      content: [inputText("[researcher] said: a.ts was moved to b.ts.")],
    },
    {
      type: "message",
      role: "assistant",
      content: [{ type: "output_text", text: "The file was moved." }],
    },
  ]);
});

test("reasoning stands directly before what came out of it", () => {
  const items = itemsOf(
    thought({ ...reasoning("rs_1"), status: null }),
    call("a", "f"),
    result("a", "1"),
  );
  expect(rendered(items)).toEqual([
    reasoning("rs_1"),
    { type: "function_call", call_id: "a", name: "f", arguments: "{}" },
    { type: "function_call_output", call_id: "a", output: "1" },
  ]);
});

test("Never rejected: reasoning that nothing came out of is left out", () => {
  const items = itemsOf(user("hi"), thought(reasoning("rs_1"), 2), user("hello?"));
  expect(JSON.stringify(rendered(items))).not.toContain("reasoning");
  const others = itemsOf(
    thought(reasoning("rs_1"), 2),
    assistant("of another group", { group: 3 }),
  );
  expect(JSON.stringify(rendered(others))).not.toContain("reasoning");
});

test("Never rejected: of several reasoning items only the one before its item stays", () => {
  const items = itemsOf(thought(reasoning("rs_1")), thought(reasoning("rs_2")), assistant("so"));
  expect(rendered(items)).toMatchObject([{ id: "rs_2" }, { role: "assistant" }]);
});

test.each([
  ["has no encrypted content", { type: "reasoning", id: "rs_1", summary: [] }],
  ["has no id", { ...reasoning("rs_1"), id: undefined }],
  ["is something else", { ...reasoning("rs_1"), type: "message" }],
])("Never rejected: reasoning that %s is left out", (_, item) => {
  expect(rendered(itemsOf(thought(item), assistant("so")))).toEqual([
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "so" }] },
  ]);
});

test("Never rejected: a call id has up to 64 characters and belongs to one call", () => {
  const long = "x".repeat(64);
  const items = itemsOf(
    call(long, "f"),
    result(long, "1"),
    call(long, "f", "{}", { group: 2 }),
    result(long, "2", { group: 2 }),
    call(`${long}x`, "f", "{}", { group: 3 }),
    result(`${long}x`, "3", { group: 3 }),
  );
  const ids = (rendered(items) as { call_id: string }[]).map((item) => item.call_id);
  expect(ids).toEqual([long, long, ids[2], ids[2], ids[4], ids[4]]);
  expect(new Set(ids).size).toBe(3);
  expect(ids.every((id) => /^[a-zA-Z0-9_-]{1,64}$/.test(id))).toBe(true);
});

test("PDFs of the web are files, other files and files elsewhere are text references", () => {
  const items = itemsOf(
    shown(
      "",
      file("https://example.com/a.pdf"),
      file("https://example.com/a.zip"),
      file("file:///a.pdf"),
      image("https://example.com/a"),
    ),
  );
  expect(rendered(items)).toEqual([
    {
      type: "message",
      role: "user",
      content: [
        { type: "input_file", file_url: "https://example.com/a.pdf" },
        { type: "input_text", text: "[file: https://example.com/a.zip]" },
        { type: "input_text", text: "[file: file:///a.pdf]" },
        { type: "input_image", image_url: "https://example.com/a", detail: "auto" },
      ],
    },
  ]);
});

test("a system message in the middle stays one, and empty ones get placeholders", () => {
  const message = (role: string, text: string) => ({
    type: "message",
    role,
    content: [{ type: "input_text", text }],
  });
  expect(rendered(itemsOf(user(""), system("Be brief.")))).toEqual([
    message("user", "[empty]"),
    message("system", "Be brief."),
  ]);
  expect(rendered([])).toEqual([message("user", "[The conversation begins here.]")]);
});
