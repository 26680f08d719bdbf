import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type openAiResponsesRules, validateOpenAiResponses } from "./openai-responses.ts";
import { type RuleCase, testRules } from "./rule-cases.ts";
import { validators } from "./validators.ts";

const hello = { role: "user", content: "Hello" };
const answer = { role: "assistant", content: [{ type: "output_text", text: "Hi" }] };
const reasoning = { type: "reasoning", id: "rs_1", summary: [] };

function call(callId: string, over: JsonObject = {}): JsonObject {
  return { type: "function_call", call_id: callId, name: "look", arguments: "{}", ...over };
}

function output(callId: string, over: JsonObject = {}): JsonObject {
  return { type: "function_call_output", call_id: callId, output: "found", ...over };
}

function round(over: JsonObject, callId = "c"): JsonValue[] {
  return [hello, call(callId, over), output(callId)];
}

function image(part: JsonObject): JsonValue[] {
  return [{ role: "user", content: [{ type: "input_image", ...part }] }];
}

const cases = {
  "wrong-type": { refused: [hello, { ...hello, content: null }], passes: [hello] },
  "missing-field": {
    refused: [hello, { type: "reasoning", id: "rs_1" }, answer],
    passes: [hello, reasoning, answer],
  },
  "unknown-field": {
    refused: [{ ...hello, name: "ada" }],
    passes: [{ ...hello, type: "message" }],
  },
  "no-items": { refused: [], passes: [hello] },
  "unknown-item": { refused: [hello, { type: "tool_use" }], passes: [hello] },
  "unknown-role": {
    refused: [{ role: "tool", content: "found" }],
    passes: [{ role: "developer", content: "Be kind." }],
  },
  "empty-parts": {
    refused: [{ role: "user", content: [] }],
    passes: [{ role: "user", content: [{ type: "input_text", text: "" }] }],
  },
  "unknown-part": {
    refused: [hello, { role: "assistant", content: [{ type: "input_text", text: "Hi" }] }],
    passes: [hello, answer],
  },
  "media-address": {
    refused: image({ image_url: "gs://bucket/a.png" }),
    passes: image({ image_url: "https://example.org/a.png" }),
  },
  "item-id": { refused: round({ id: "call_1" }), passes: round({ id: "fc_1" }) },
  "item-id-repeated": {
    refused: [hello, reasoning, answer, reasoning, answer],
    passes: [hello, reasoning, answer, { ...reasoning, id: "rs_2" }, answer],
  },
  "call-id": { refused: round({}, "i".repeat(65)), passes: round({}, "i".repeat(64)) },
  "tool-name": { refused: round({ name: "look up" }), passes: round({ name: "look_up" }) },
  "arguments-object": {
    refused: round({ arguments: "[1]" }),
    passes: round({ arguments: '{"a": [1]}' }),
  },
  "call-id-repeated": {
    refused: [...round({}), call("c")],
    passes: [...round({}), call("d"), output("d")],
  },
  "call-without-output": { refused: [hello, call("c")], passes: [hello, call("c"), output("c")] },
  "output-without-call": {
    refused: [hello, output("c"), call("c")],
    passes: [hello, call("c"), hello, output("c")],
  },
  "output-repeated": { refused: [...round({}), output("c")], passes: round({}) },
  "reasoning-alone": {
    refused: [hello, reasoning, hello],
    passes: [hello, reasoning, call("c"), output("c")],
  },
} satisfies Record<keyof typeof openAiResponsesRules, RuleCase>;

testRules(validators["openai-responses"], cases);

describe("the responses API", () => {
  it("wants something behind the reasoning that ends the input", () => {
    expect(validateOpenAiResponses([hello, reasoning])).toEqual([
      { path: "input[1]", rule: "reasoning-alone" },
    ]);
  });

  it("takes outputs with parts, and answers that are plain texts", () => {
    const parts = [{ type: "input_text", text: "found" }];
    const items = [
      hello,
      call("c"),
      output("c", { output: parts }),
      { ...hello, role: "assistant" },
    ];
    expect(validateOpenAiResponses(items)).toEqual([]);
  });
});
