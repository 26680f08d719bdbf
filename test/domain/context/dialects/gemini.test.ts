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
  result,
  shown,
  system,
  user,
} from "./support.ts";

const rendered = (items: WindowItem[]) =>
  render(Dialect.GEMINI, items) as {
    systemInstruction?: object;
    contents: { role: string; parts: Record<string, unknown>[] }[];
  };

test("a conversation becomes systemInstruction and contents of Gemini", () => {
  expect(rendered(conversation())).toEqual({
    systemInstruction: { parts: [{ text: "You find bugs." }] },
    contents: [
      {
        role: "user",
        parts: [
          { text: "Summary of what came before (untrusted): the build broke." },
          { text: "What is on this screen?" },
          { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } },
        ],
      },
      {
        role: "model",
        parts: [
          { text: "I look at the log and the code." },
          { functionCall: { name: "read_log", args: { lines: 20 } } },
          { functionCall: { name: "read_file", args: { path: "a.ts" } } },
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { name: "read_log", response: { output: "TypeError at a.ts:7" } } },
          { functionResponse: { name: "read_file", response: { error: "no such file" } } },
        ],
      },
      { role: "model", parts: [{ text: "[no answer]" }] },
      { role: "user", parts: [{ text: "[researcher] said: a.ts was moved to b.ts." }] },
      { role: "model", parts: [{ text: "The file was moved." }] },
      { role: "user", parts: [{ text: "Continue." }] },
    ],
  });
});

test("Never rejected: function calls come after the user's content or function responses", () => {
  const items = itemsOf(
    assistant("one"),
    call("a", "f", "{}", { group: 2 }),
    result("a", "1", { group: 2 }),
    call("b", "g", "{}", { group: 3 }),
    result("b", "2", { group: 3 }),
    assistant("two", { group: 4 }),
    user("more"),
  );
  expect(rendered(items).contents).toEqual([
    { role: "user", parts: [{ text: "[The conversation begins here.]" }] },
    { role: "model", parts: [{ text: "one" }, { functionCall: { name: "f", args: {} } }] },
    { role: "user", parts: [{ functionResponse: { name: "f", response: { output: "1" } } }] },
    { role: "model", parts: [{ functionCall: { name: "g", args: {} } }] },
    { role: "user", parts: [{ functionResponse: { name: "g", response: { output: "2" } } }] },
    { role: "model", parts: [{ text: "two" }] },
    { role: "user", parts: [{ text: "more" }] },
  ]);
});

test("Never rejected: a system message behind function responses stands apart from them", () => {
  const items = itemsOf(call("a", "f"), result("a", "1"), system("Be brief."), user("go"));
  expect(rendered(items).contents.slice(2)).toEqual([
    { role: "user", parts: [{ functionResponse: { name: "f", response: { output: "1" } } }] },
    { role: "model", parts: [{ text: "[no answer]" }] },
    { role: "user", parts: [{ text: "[system] Be brief." }, { text: "go" }] },
  ]);
});

test("Never rejected: arguments are objects, whatever the model wrote", () => {
  const items = itemsOf(
    call("a", "f", "[1]"),
    call("b", "f", "oops"),
    result("a", ""),
    result("b", ""),
  );
  expect(rendered(items).contents[1]?.parts).toEqual([
    { functionCall: { name: "f", args: { arguments: [1] } } },
    { functionCall: { name: "f", args: { arguments: "oops" } } },
  ]);
});

test.each([
  ["fs.read:all-1", "fs.read:all-1"],
  ["1st", "_1st"],
  ["über tool", "_ber_tool"],
  ["x".repeat(80), "x".repeat(64)],
])("Never rejected: the function %s is named %s, at call and response", (name, legal) => {
  const [, made, answered] = rendered(itemsOf(call("a", name), result("a", "1"))).contents;
  expect(made?.parts).toMatchObject([{ functionCall: { name: legal } }]);
  expect(answered?.parts).toMatchObject([{ functionResponse: { name: legal } }]);
});

test("Never rejected: no part is empty", () => {
  const items = itemsOf(
    system(""),
    user(""),
    assistant(" ", { group: 2 }),
    user("x", { group: 3 }),
  );
  expect(rendered(items)).toEqual({
    contents: [{ role: "user", parts: [{ text: "[empty]" }, { text: "x" }] }],
  });
});

test("files of Google's own addresses are parts, others are text references", () => {
  const api = "https://generativelanguage.googleapis.com/v1beta/files/abc";
  const items = itemsOf(
    shown(
      "see",
      file("gs://bucket/a.pdf", "application/pdf"),
      image(api, "image/png"),
      image("gs://bucket/unknown"),
      image("https://example.com/a.png", "image/png"),
      image("gs://bucket/a.gif", "image/gif"),
    ),
  );
  expect(rendered(items).contents[0]?.parts).toEqual([
    { text: "see" },
    { fileData: { mimeType: "application/pdf", fileUri: "gs://bucket/a.pdf" } },
    { fileData: { mimeType: "image/png", fileUri: api } },
    { text: "[image: gs://bucket/unknown]" },
    { text: "[image: https://example.com/a.png]" },
    { text: "[image: gs://bucket/a.gif]" },
  ]);
});

test("a thought signature comes back on the part it came with, and only in Gemini's own form", () => {
  const raw = (format: string, thoughtSignature: string) => ({
    raw: { format, json: JSON.stringify({ functionCall: { name: "f" }, thoughtSignature }) },
  });
  const items = itemsOf(
    call("a", "f", "{}", raw("gemini", "c2ln")),
    call("b", "f", "{}", raw("gemini", "not base64!")),
    call("c", "f", "{}", raw("anthropic-messages", "c2ln")),
    result("a", "1"),
    result("b", "2"),
    result("c", "3"),
  );
  const functionCall = { name: "f", args: {} };
  expect(rendered(items).contents[1]?.parts).toEqual([
    { functionCall, thoughtSignature: "c2ln" },
    { functionCall },
    { functionCall },
  ]);
});
