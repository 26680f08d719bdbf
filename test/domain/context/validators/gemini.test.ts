import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type geminiRules, validateGemini } from "./gemini.ts";
import { type RuleCase, testRules } from "./rule-cases.ts";
import { validators } from "./validators.ts";

const text = { text: "Hello" };
const hello = user(text);

function user(...parts: JsonValue[]): JsonObject {
  return { role: "user", parts };
}

function model(...parts: JsonValue[]): JsonObject {
  return { role: "model", parts };
}

function call(name: string, over: JsonObject = {}): JsonObject {
  return { functionCall: { name, args: {}, ...over } };
}

function response(name: string, over: JsonObject = {}): JsonObject {
  return { functionResponse: { name, response: { result: "found" }, ...over } };
}

function body(...contents: JsonValue[]): JsonValue {
  return { contents };
}

function round(name: string): JsonValue {
  return body(hello, model(call(name)), user(response(name)));
}

const cases = {
  "wrong-type": {
    refused: body(hello, model(call("look", { args: "{}" })), user(response("look"))),
    passes: round("look"),
  },
  "missing-field": {
    refused: body(hello, model(call("look")), user({ functionResponse: { name: "look" } })),
    passes: round("look"),
  },
  "unknown-field": {
    refused: { system_instruction: { parts: [text] }, contents: [hello] },
    passes: { systemInstruction: { parts: [text] }, contents: [hello] },
  },
  "no-contents": { refused: body(), passes: body(hello) },
  "unknown-role": {
    refused: body({ role: "assistant", parts: [text] }, hello),
    passes: body(hello),
  },
  "first-role": { refused: body(model(text), hello), passes: body(hello, model(text), hello) },
  alternation: {
    refused: body(hello, hello),
    passes: body(hello, model(call("look")), user(response("look")), hello),
  },
  "last-role": { refused: body(hello, model(text)), passes: body(hello, model(text), hello) },
  "no-parts": { refused: body(user()), passes: body(user(text)) },
  "one-of": {
    refused: body(user({ thought: true })),
    passes: body(hello, model({ thought: true, text: "Hm." }), hello),
  },
  "empty-text": { refused: body(user({ text: "" })), passes: body(user({ text: " " })) },
  "instruction-text": {
    refused: { systemInstruction: { parts: [call("look")] }, contents: [hello] },
    passes: { systemInstruction: { parts: [text] }, contents: [hello] },
  },
  "function-name": { refused: round("1st"), passes: round("_1st.of:all-") },
  "call-place": {
    refused: body(user(call("look")), user(response("look"))),
    passes: round("look"),
  },
  "response-place": {
    refused: body(hello, model(call("look")), model(response("look")), hello),
    passes: round("look"),
  },
  "call-without-response": {
    refused: body(hello, model(call("look")), hello),
    passes: round("look"),
  },
  "response-without-call": {
    refused: body(hello, model(text), user(response("look"))),
    passes: round("look"),
  },
  "response-count": {
    refused: body(hello, model(call("look"), call("find")), user(response("look"))),
    passes: body(
      hello,
      model(call("look"), call("find")),
      user(response("look"), response("find")),
    ),
  },
  "response-order": {
    refused: body(
      hello,
      model(call("look"), call("find")),
      user(response("find"), response("look")),
    ),
    passes: body(
      hello,
      model(call("look", { id: "1" }), call("look", { id: "2" })),
      user(response("look", { id: "1" }), response("look", { id: "2" })),
    ),
  },
  "responses-first": {
    refused: body(hello, model(call("look")), user(text, response("look"))),
    passes: body(hello, model(call("look")), user(response("look"), text)),
  },
  "media-type": {
    refused: body(user({ fileData: { fileUri: "https://example.org/a" } })),
    passes: body(user({ fileData: { fileUri: "https://example.org/a", mimeType: "image/png" } })),
  },
  base64: {
    refused: body(hello, model({ ...text, thoughtSignature: "no base64!" }), hello),
    passes: body(hello, model({ ...text, thoughtSignature: "c2ln" }), hello),
  },
} satisfies Record<keyof typeof geminiRules, RuleCase>;

testRules(validators.gemini, cases);

describe("generateContent", () => {
  it("wants responses to calls that end the history", () => {
    const rules = validateGemini(body(hello, model(call("look")))).map(({ rule }) => rule);
    expect(rules).toContain("call-without-response");
  });

  it("wants all responses in one content", () => {
    const apart = body(
      hello,
      model(call("look"), call("find")),
      user(response("look")),
      user(response("find")),
    );
    const rules = validateGemini(apart).map(({ rule }) => rule);
    expect(rules).toEqual(["response-count", "response-without-call"]);
  });
});
