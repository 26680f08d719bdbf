import {
  create,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, StepType } from "@sessiond/contract";
import { describe, expect, onTestFinished, test } from "vitest";
import { compileFieldPath } from "../../../src/sinks/redaction/field-paths.ts";
import { compilePatterns } from "../../../src/sinks/redaction/patterns.ts";
import { Redaction, type RedactionConfig } from "../../../src/sinks/redaction/redaction.ts";

type Init = MessageInitShape<typeof EventSchema>;

function redaction(config: Partial<RedactionConfig>): Redaction {
  const made = new Redaction({ content: true, fields: [], patterns: [], ...config });
  onTestFinished(() => made.close());
  return made;
}

async function redact(config: Partial<RedactionConfig>, init: Init): Promise<unknown> {
  const event = create(EventSchema, init);
  const before = toJson(EventSchema, event);
  const [after] = await redaction(config).apply([event]);
  expect(toJson(EventSchema, event)).toEqual(before);
  return toJson(EventSchema, after as Event);
}

const call = (args: string): Init => ({
  revision: 1,
  payload: { case: "toolCall", value: { callId: "c", name: "login", arguments: args } },
});

describe("fields", () => {
  test.each<[string, Init, unknown]>([
    [
      "metadata.ssn",
      { metadata: { ssn: "1", a: "b" } },
      { metadata: { ssn: "[redacted]", a: "b" } },
    ],
    [
      "metadata.people.name",
      { metadata: { people: [{ name: "A", age: 1 }, { age: 2 }, "x"] } },
      { metadata: { people: [{ name: "[redacted]", age: 1 }, { age: 2 }, "x"] } },
    ],
    [
      "metadata.body.pin",
      { metadata: { body: '{"pin":1}' } },
      { metadata: { body: '{"pin":"[redacted]"}' } },
    ],
    ["metadata", { kind: "k", metadata: { a: 1 } }, { kind: "k" }],
    ["author", { author: "Anna" }, { author: "[redacted]" }],
    ["usage", { usage: { inputTokens: 3 } }, {}],
    ["usage.cost", { usage: { inputTokens: 3, cost: 0.5 } }, { usage: { inputTokens: 3 } }],
    ["event_id", { eventId: "e" }, { eventId: "[redacted]" }],
    [
      "toolResult.content",
      { payload: { case: "message", value: { text: "hello" } } },
      { message: { text: "hello" } },
    ],
    ["message", { payload: { case: "message", value: { text: "hello" } } }, { message: {} }],
    [
      "message.parts.text",
      {
        payload: { case: "message", value: { parts: [{ content: { case: "text", value: "a" } }] } },
      },
      { message: { parts: [{ text: "[redacted]" }] } },
    ],
    [
      "message.parts",
      {
        payload: { case: "message", value: { parts: [{ content: { case: "text", value: "a" } }] } },
      },
      { message: {} },
    ],
    [
      "custom.value.card",
      {
        payload: {
          case: "custom",
          value: {
            type: "pay",
            value: {
              kind: {
                case: "structValue",
                value: { fields: { card: { kind: { case: "numberValue", value: 4 } } } },
              },
            },
          },
        },
      },
      { custom: { type: "pay", value: { card: "[redacted]" } } },
    ],
  ])("%s is taken out", async (path, init, expected) => {
    expect(await redact({ fields: [path] }, init)).toEqual(expected);
  });

  test.each([
    ['{"user":"a","password":"geheim"}', '{"user":"a","password":"[redacted]"}'],
    ['{"p\\u0061ssword":"geheim"}', '{"password":"[redacted]"}'],
    ['{"password":"geheim","password":"geheim2"}', '{"password":"[redacted]"}'],
    ['{ "user":  "a" }', '{ "user":  "a" }'],
    ['{"password":"geh', "[redacted]"],
    ["no JSON", "no JSON"],
    [`${"[".repeat(100_000)}"geheim"`, "[redacted]"],
  ])("in the arguments %s of a tool call a key is taken out", async (args, expected) => {
    const json = await redact({ fields: ["toolCall.arguments.password"] }, call(args));
    expect(json).toHaveProperty("toolCall.arguments", expected);
  });

  test.each([
    ["secret", /^an event has no field "secret"; it has revision, eventId, /],
    ["toolCall.password", /^toolCall has no field "password"; it has callId, name, arguments$/],
    ["revision.a", /^nothing is inside of revision$/],
    ["metadata..a", /^has an empty name$/],
    ["constructor", /^an event has no field "constructor"/],
  ])("a path %s that leads nowhere is refused", (path, message) => {
    expect(() => compileFieldPath(path)).toThrow(message);
  });
});

describe("what events repeat of a field is taken out with it", () => {
  const secret = "HUNTER2";
  const password = "toolCall.arguments.password";
  const args = JSON.stringify({ user: "ann", password: secret });
  const begun = (type: StepType, input: JsonValue): Init => ({
    payload: { case: "stepStarted", value: { type, input: fromJson(ValueSchema, input) } },
  });
  const done = (type: StepType, output: JsonValue): Init => ({
    payload: { case: "stepCompleted", value: { type, output: fromJson(ValueSchema, output) } },
  });
  const raw = { format: "openai-chat", json: JSON.stringify({ arguments: args }) };

  test.each<[string, string, Init]>([
    ["a raw item", password, { raw }],
    ["a raw item", "metadata.ssn", { metadata: { ssn: "1" }, raw }],
    ["an amendment", password, { payload: { case: "amendment", value: { arguments: args } } }],
    ["an amendment", "tool_call", { payload: { case: "amendment", value: { arguments: args } } }],
    ["a step's input", password, begun(StepType.TOOL_CALL, JSON.parse(args))],
    ["a step's input", password, begun(StepType.UNSPECIFIED, args)],
    ["a step's input", password, begun(StepType.TOOL_CALL, { call: [{ arguments: args }] })],
    ["a step's input", "toolCall.arguments", begun(StepType.TOOL_CALL, [secret])],
    ["a step's output", password, done(StepType.TOOL_CALL, { given: { password: secret } })],
    ["a step's output", "toolResult.content", done(StepType.TOOL_CALL, secret)],
    ["a step's output", "toolResult.parts.text", done(StepType.TOOL_RESULT, secret)],
    ["a step's output", "output.value.a", done(StepType.OUTPUT, { a: secret })],
    ["a step's output", "thinking", done(StepType.THINKING, secret)],
    [
      "an output's text",
      "output.value.password",
      { payload: { case: "output", value: { text: args } } },
    ],
    ["a summary", password, { payload: { case: "compaction", value: { summary: args } } }],
    [
      "the summary before",
      "message.text",
      { payload: { case: "compactionDue", value: { previousSummary: secret } } },
    ],
  ])("%s has no more of %s", async (_what, path, init) => {
    expect(JSON.stringify(await redact({}, init))).toContain(secret);
    expect(JSON.stringify(await redact({ fields: [path] }, init))).not.toContain(secret);
  });

  test.each<[string, Init]>([
    [password, begun(StepType.TOOL_CALL, { user: "ann", call: { a: ["x"] } })],
    [password, begun(StepType.THINKING, { password: "of a riddle" })],
    ["toolCall.arguments", done(StepType.TOOL_CALL, "fine")],
    ["toolCall.name", { payload: { case: "compaction", value: { summary: "s" } } }],
    ["metadata.ssn", { payload: { case: "compaction", value: { summary: "s" } } }],
    ["raw.json.key", { raw: { format: "adk", json: '{"a":1}' } }],
  ])("nothing else is, by %s", async (path, init) => {
    expect(await redact({ fields: [path] }, init)).toEqual(await redact({}, init));
  });
});

describe("patterns", () => {
  const card = "\\b\\d{16}\\b";
  const number = "4111111111111111";

  test("what they find is taken out of every text, key and number, and of nothing else", async () => {
    const json = await redact(
      { patterns: [card] },
      {
        author: number,
        trace: { traceparent: `00-${number}${number}-${number}-01` },
        metadata: { [number]: Number(number), deep: [{ a: `x ${number}` }], n: 1.5 },
        payload: { case: "message", value: { text: `${number}, ${number}0`, parts: [] } },
      },
    );
    expect(json).toEqual({
      author: "[redacted]",
      trace: { traceparent: `00-${number}${number}-${number}-01` },
      metadata: { "[redacted]": "[redacted]", deep: [{ a: "x [redacted]" }], n: 1.5 },
      message: { text: `[redacted], ${number}0` },
    });
  });

  test.each([
    ["an escape in front of it", `{"a":"card\\n${number}"}`, '{"a":"card\\n[redacted]"}'],
    ["JSON in JSON", JSON.stringify({ a: JSON.stringify({ b: `\n${number}` }) }), undefined],
    ["a number", `{"a":${number}}`, '{"a":"[redacted]"}'],
    ["escaped digits", `{"a":"\\u0034111111111111111"}`, '{"a":"[redacted]"}'],
    ["no JSON after all", `{"a": ${number}`, '{"a": [redacted]'],
    ["nothing to find", '{ "a":  1 }', '{ "a":  1 }'],
  ])("in a text that is JSON it is found behind %s", async (_what, args, expected) => {
    const json = JSON.stringify(await redact({ patterns: [card] }, call(args)));
    expect(json).not.toContain(number);
    if (expected !== undefined) expect(json).toContain(JSON.stringify(expected));
  });

  test("keys that are taken out stay apart", async () => {
    const json = await redact({ patterns: ["k\\d"] }, { metadata: { k1: 1, k2: 2 } });
    expect(json).toEqual({ metadata: { "[redacted]": 1, "[redacted] 2": 2 } });
  });

  test("a text and a pattern that are meant to hold everybody up hold up the sink alone", async () => {
    const evil = redaction({ patterns: ["(a+)+$", "(a|a?)+b"] });
    const event = create(EventSchema, {
      payload: { case: "message", value: { text: `${"a".repeat(200_000)}!` } },
    });
    let turns = 0;
    const count = setInterval(() => turns++, 1);
    await evil.apply([event]);
    clearInterval(count);
    expect(turns).toBeGreaterThan(0);
  });

  test.each([
    ["(", "is no pattern: missing closing ): `(`"],
    ["(?=a)", "is no pattern: invalid or unsupported Perl syntax: `(?=`"],
    ["(a{0,30}){0,30}", "takes too long for each character; repeat fewer things fewer times"],
    ["a*", "also matches where there is nothing; it must match at least a character"],
    ["a".repeat(1_025), "has more than 1024 characters"],
  ])("the pattern %s is refused", (pattern, message) => {
    expect(() => compilePatterns([pattern])).toThrow(message);
  });

  test("a thread that died fails the call, and the next call has another", async () => {
    const made = redaction({ patterns: [card] });
    const event = create(EventSchema, { author: number });
    await made.apply([event]);
    const failing = expect(made.apply([event])).rejects.toThrow("was ended");
    await made.close();
    await failing;
    expect((await made.apply([event]))[0]?.author).toBe("[redacted]");
  });
});

test("without content, fields and patterns still look at what is left", async () => {
  const json = await redact(
    { content: false, fields: ["author"], patterns: ["secret-\\w+"] },
    {
      author: "a",
      kind: "secret-plan",
      metadata: { a: 1 },
      raw: { format: "openai-chat", json: "{}" },
      payload: { case: "error", value: { code: "E", message: "m", retryable: true } },
    },
  );
  expect(json).toEqual({
    author: "[redacted]",
    kind: "[redacted]",
    raw: { format: "openai-chat" },
    error: { code: "E", retryable: true },
  });
});
