import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type anthropicMessagesRules, validateAnthropicMessages } from "./anthropic-messages.ts";
import { type RuleCase, testRules } from "./rule-cases.ts";
import { validators } from "./validators.ts";

const hello = { role: "user", content: "Hello" };
const text = { type: "text", text: "Hi" };
const thinking = { type: "thinking", thinking: "Hm.", signature: "c2ln" };

function assistant(...content: JsonValue[]): JsonObject {
  return { role: "assistant", content };
}

function user(...content: JsonValue[]): JsonObject {
  return { role: "user", content };
}

function use(id: string, over: JsonObject = {}): JsonObject {
  return { type: "tool_use", id, name: "look", input: {}, ...over };
}

function result(id: string, over: JsonObject = {}): JsonObject {
  return { type: "tool_result", tool_use_id: id, content: "found", ...over };
}

function body(...messages: JsonValue[]): JsonValue {
  return { messages };
}

/** A round of one tool use with what its result carries. */
function round(over: JsonObject = {}, resultOver: JsonObject = {}): JsonValue {
  return body(hello, assistant(use("a", over)), user(result("a", resultOver)));
}

function image(source: JsonObject): JsonValue {
  return body(user({ type: "image", source }));
}

const cases = {
  "wrong-type": { refused: round({ input: "{}" }), passes: round({ input: { path: "/" } }) },
  "missing-field": { refused: { system: "Be kind." }, passes: body(hello) },
  "unknown-field": { refused: body({ ...hello, name: "ada" }), passes: body(hello) },
  "no-messages": { refused: body(), passes: body(hello) },
  "unknown-role": {
    refused: body(hello, { role: "system", content: "Be kind." }),
    passes: { system: "Be kind.", messages: [hello] },
  },
  "first-role": {
    refused: body(assistant(text), hello),
    passes: body(hello, assistant(text), hello),
  },
  alternation: { refused: body(hello, hello), passes: body(user(text, text)) },
  "last-role": {
    refused: body(hello, assistant(text)),
    passes: body(hello, assistant(text), hello),
  },
  "trailing-space": {
    refused: body(hello, assistant({ ...text, text: "Hi " })),
    passes: body(hello, assistant({ ...text, text: "Hi " }), hello),
  },
  "empty-content": { refused: body(user()), passes: body(user(text)) },
  "blank-text": { refused: body(user({ ...text, text: " \n" })), passes: body(user(text)) },
  "unknown-block": {
    refused: body(user(thinking)),
    passes: body(hello, assistant(thinking, text), hello),
  },
  "call-id": {
    refused: body(hello, assistant(use("call:1")), user(result("call:1"))),
    passes: body(hello, assistant(use("call-1")), user(result("call-1"))),
  },
  "tool-name": { refused: round({ name: "files.read" }), passes: round({ name: "files_read" }) },
  "call-id-repeated": {
    refused: body(
      hello,
      assistant(use("a")),
      user(result("a")),
      assistant(use("a")),
      user(result("a")),
    ),
    passes: body(
      hello,
      assistant(use("a")),
      user(result("a")),
      assistant(use("b")),
      user(result("b")),
    ),
  },
  "call-without-result": {
    refused: body(hello, assistant(use("a"), use("b")), user(result("a"))),
    passes: body(hello, assistant(use("a"), use("b")), user(result("b"), result("a"))),
  },
  "result-without-call": { refused: body(user(result("a"))), passes: round() },
  "result-repeated": {
    refused: body(hello, assistant(use("a")), user(result("a"), result("a"))),
    passes: round(),
  },
  "results-first": {
    refused: body(hello, assistant(use("a")), user(text, result("a"))),
    passes: body(hello, assistant(use("a")), user(result("a"), text)),
  },
  "error-result": {
    refused: round({}, { content: "", is_error: true }),
    passes: round({}, { content: "", is_error: false }),
  },
  "thinking-first": {
    refused: body(hello, assistant(text, thinking, text), hello),
    passes: body(hello, assistant(thinking, thinking, text), hello),
  },
  "thinking-last": {
    refused: body(hello, assistant(thinking), hello),
    passes: body(hello, assistant(thinking, text), hello),
  },
  "thinking-signature": {
    refused: body(hello, assistant({ type: "thinking", thinking: "Hm." }, text), hello),
    passes: body(hello, assistant(thinking, text), hello),
  },
  "media-source": {
    refused: image({ type: "base64", media_type: "image/bmp", data: "aGk=" }),
    passes: image({ type: "url", url: "https://example.org/a.png" }),
  },
} satisfies Record<keyof typeof anthropicMessagesRules, RuleCase>;

testRules(validators["anthropic-messages"], cases);

describe("the messages API", () => {
  it("wants results in the very next message", () => {
    const late = body(hello, assistant(use("a")), user(text), assistant(text), user(result("a")));
    expect(validateAnthropicMessages(late)).toEqual([
      { path: "messages[1].content[0]", rule: "call-without-result" },
      { path: "messages[4].content[0]", rule: "result-without-call" },
    ]);
  });

  it("wants a result for a tool use that ends the history", () => {
    const rules = validateAnthropicMessages(body(hello, assistant(use("a")))).map(
      ({ rule }) => rule,
    );
    expect(rules).toContain("call-without-result");
  });

  it("refuses blank texts inside results and instructions", () => {
    const blank = { type: "text", text: "" };
    expect(validateAnthropicMessages(round({}, { content: [blank] }))).not.toEqual([]);
    expect(validateAnthropicMessages({ system: [blank], messages: [hello] })).not.toEqual([]);
  });
});
