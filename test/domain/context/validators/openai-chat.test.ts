import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type openAiChatRules, validateOpenAiChat } from "./openai-chat.ts";
import { type RuleCase, testRules } from "./rule-cases.ts";
import { validators } from "./validators.ts";

const hello = { role: "user", content: "Hello" };
const answer = { role: "assistant", content: "Hi" };

function call(id: string, over: JsonObject = {}): JsonObject {
  return { id, type: "function", function: { name: "look", arguments: "{}", ...over } };
}

function calls(...list: JsonValue[]): JsonObject {
  return { role: "assistant", content: null, tool_calls: list };
}

function result(id: string): JsonObject {
  return { role: "tool", tool_call_id: id, content: "found" };
}

/** A round of one call whose function is given. */
function round(over: JsonObject, id = "c"): JsonValue[] {
  return [hello, calls(call(id, over)), result(id)];
}

function image(url: string): JsonValue[] {
  return [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }];
}

const cases = {
  "wrong-type": { refused: [{ role: "user", content: 7 }], passes: [hello] },
  "missing-field": { refused: [{ role: "user" }], passes: [{ role: "user", content: "" }] },
  "unknown-field": { refused: [{ ...hello, turn: 1 }], passes: [{ ...hello, name: "ada" }] },
  "no-messages": { refused: [], passes: [hello] },
  "too-many-messages": {
    refused: Array.from({ length: 2_049 }, () => hello),
    passes: Array.from({ length: 2_048 }, () => hello),
  },
  "unknown-role": {
    refused: [{ role: "agent", content: "Hello" }],
    passes: [{ role: "developer", content: "Hello" }],
  },
  "no-content": { refused: [hello, { role: "assistant", content: null }], passes: [hello, answer] },
  "empty-parts": {
    refused: [{ role: "user", content: [] }],
    passes: [{ role: "user", content: [{ type: "text", text: "" }] }],
  },
  "unknown-part": {
    refused: [
      { role: "system", content: [{ type: "image_url", image_url: { url: "https://a" } }] },
    ],
    passes: [{ role: "system", content: [{ type: "text", text: "Be kind." }] }],
  },
  "media-address": { refused: image("sha256:00"), passes: image("https://example.org/a.png") },
  "author-name": {
    refused: [{ ...hello, name: "Ada Lovelace" }],
    passes: [{ ...hello, name: "Ada_Lovelace" }],
  },
  "no-calls": {
    refused: [hello, { role: "assistant", content: "Hi", tool_calls: [] }],
    passes: [hello, answer],
  },
  "call-id": { refused: round({}, "i".repeat(41)), passes: round({}, "i".repeat(40)) },
  "tool-name": { refused: round({ name: "files.read" }), passes: round({ name: "files-read" }) },
  "arguments-object": {
    refused: round({ arguments: '{"path": "/et' }),
    passes: round({ arguments: '{"path": "/etc"}' }),
  },
  "call-id-repeated": {
    refused: [hello, calls(call("c"), call("c")), result("c")],
    passes: [...round({}), ...round({})],
  },
  "call-without-result": {
    refused: [hello, calls(call("a"), call("b")), result("a"), hello],
    passes: [hello, calls(call("a"), call("b")), result("b"), result("a"), hello],
  },
  "result-without-call": { refused: [result("c"), hello], passes: round({}) },
  "result-of-other-call": {
    refused: [...round({}, "a"), calls(call("b")), result("a")],
    passes: [...round({}, "a"), calls(call("b")), result("b")],
  },
  "result-repeated": { refused: [...round({}), result("c")], passes: round({}) },
} satisfies Record<keyof typeof openAiChatRules, RuleCase>;

testRules(validators["openai-chat"], cases);

describe("chat completions", () => {
  it("want results at once, not behind a user who spoke first", () => {
    const violations = validateOpenAiChat([hello, calls(call("c")), hello, result("c")]);
    expect(violations).toEqual([
      { path: "messages[1]", rule: "call-without-result" },
      { path: "messages[3]", rule: "result-without-call" },
    ]);
  });

  it("want an answer to a call that ends the history", () => {
    expect(validateOpenAiChat([hello, calls(call("c"))])).toEqual([
      { path: "messages[1]", rule: "call-without-result" },
    ]);
  });

  it("take instructions in the middle, any first role, and neighbours of one role", () => {
    const system = { role: "system", content: "Be brief." };
    expect(validateOpenAiChat([answer, hello, hello, system, answer, answer])).toEqual([]);
  });
});
