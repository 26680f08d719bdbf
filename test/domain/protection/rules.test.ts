import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { type Event, EventSchema, ProtectionRuleSchema, Role } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { compileRules, type RuleFailure } from "../../../src/domain/protection/rules.ts";
import { InvalidFieldError } from "../../../src/errors.ts";

function rules(...expressions: string[]) {
  return expressions.map((expression, index) =>
    create(ProtectionRuleSchema, { expression, reason: `r${index}` }),
  );
}

function message(text: string, more: MessageInitShape<typeof EventSchema> = {}): Event {
  return create(EventSchema, { payload: { case: "message", value: { text } }, ...more });
}

function withMetadata(metadata: JsonObject): Event {
  return message("hello", { metadata });
}

function verdict(expression: string, event: Event) {
  const failures: RuleFailure[] = [];
  const reason = compileRules(rules(expression), "rules").reasonOf(event, (failure) =>
    failures.push(failure),
  );
  return { isProtected: reason === "r0", why: failures.map((failure) => failure.why) };
}

function refusal(...expressions: string[]): { field: string; description: string } {
  try {
    compileRules(rules(...expressions), "policy.protection_rules");
  } catch (error) {
    if (error instanceof InvalidFieldError && error.violations[0]) return error.violations[0];
    throw error;
  }
  throw new Error("it compiled");
}

describe("Protected: a rule sees", () => {
  const call = create(EventSchema, {
    revision: 7,
    turn: 2,
    step: 3,
    author: "planner",
    kind: "order",
    eventId: "e-1",
    usage: { model: "gpt-4o" },
    payload: { case: "toolCall", value: { callId: "c1", name: "pay", arguments: '{"n":1}' } },
  });
  const failed = create(EventSchema, {
    payload: { case: "toolResult", value: { callId: "c1", content: "no", isError: true } },
  });
  const broken = create(EventSchema, {
    payload: { case: "error", value: { message: "disk full" } },
  });

  test.each<[string, Event]>([
    ["event.revision == 7 && event.turn == 2 && event.step == 3", call],
    ['event.author == "planner" && event.kind in ["order", "refund"]', call],
    ['event.role == "assistant"', call],
    ['event.role == "user"', message("hi")],
    ['event.role == "system"', message("hi", { role: Role.SYSTEM })],
    ['event.role == "" && event.type == ""', create(EventSchema)],
    ['event.type == "tool_call" && event.tool == "pay" && event.call_id == "c1"', call],
    ['event.type == "tool_result" && event.call_id == "c1" && event.is_error', failed],
    ['event.type == "error" && event.is_error && event.text == "disk full"', broken],
    ["!event.is_error", call],
    ['event.text == "pay\\n{\\"n\\":1}"', call],
    ['event.model == "gpt-4o" && event.event_id == "e-1"', call],
    ["event.metadata.contains_phi == true", withMetadata({ contains_phi: true })],
    ["event.metadata.level > 3 && event.metadata.level == 4", withMetadata({ level: 4 })],
    ['event.metadata.a.b["c"][1] == null', withMetadata({ a: { b: { c: [1, null] } } })],
    ['"tags" in event.metadata && has(event.metadata.tags)', withMetadata({ tags: [] })],
    ['event.metadata.constructor == "x"', withMetadata({ constructor: "x" })],
    ['event["text"] == "hi"', message("hi")],
  ])("%s", (expression, event) => {
    expect(verdict(expression, event)).toEqual({ isProtected: true, why: [] });
    expect(verdict(`!(${expression})`, event)).toEqual({ isProtected: false, why: [] });
  });
});

describe("keywords are found without regard to case", () => {
  const expression = 'event.text.lowerAscii().contains("chapter")';

  test.each(["Chapter 1", "the last CHAPTER", "chapter"])("in %j", (text) => {
    expect(verdict(expression, message(text)).isProtected).toBe(true);
  });

  test("and not where they are not", () => {
    expect(verdict(expression, message("chap ter")).isProtected).toBe(false);
  });

  test("and letters beyond ASCII stay as they are", () => {
    const event = message("aÄé🙂Z");
    expect(verdict('event.text.lowerAscii() == "aÄé🙂z"', event).isProtected).toBe(true);
    expect(verdict('event.text.upperAscii() == "AÄé🙂Z"', event).isProtected).toBe(true);
    expect(verdict("size(event.text) == 5 && event.text.size() == 5", event).isProtected).toBe(
      true,
    );
  });
});

test("the reason is that of the first rule that protects", () => {
  const compiled = compileRules(
    rules('event.kind == "a"', 'event.kind in ["a", "b"]', "event.turn == 9"),
    "rules",
  );
  const reasons = ["a", "b", "c"].map((kind) => compiled.reasonOf(message("x", { kind })));
  expect(reasons).toEqual(["r0", "r1", undefined]);
});

test("no rules protect nothing", () => {
  expect(compileRules([], "rules").reasonOf(message("x"))).toBeUndefined();
});

describe("a missing key of a map counts as false", () => {
  test.each([
    "event.metadata.contains_phi == true",
    "event.metadata.contains_phi",
    "!event.metadata.public",
    'event.metadata["a"]["b"] == 1',
    "event.metadata.a == 1 || event.metadata.b == 2",
    'event.metadata.tags.exists(tag, tag == "x")',
    "event.metadata.a ? true : false",
    "[1, 2].exists(x, event.metadata.a == x)",
  ])("%s", (expression) => {
    expect(verdict(expression, message("x"))).toEqual({ isProtected: false, why: [] });
  });

  test("but not where the other side of an or is true", () => {
    const expression = 'event.metadata.a == 1 || event.text == "x"';
    expect(verdict(expression, message("x")).isProtected).toBe(true);
  });
});

describe("Protected: any other failure protects and is told", () => {
  test.each<[string, JsonObject, string | RegExp]>([
    ["event.metadata.flag", { flag: "yes" }, "it gives a text, not true or false"],
    ["event.metadata.flag", { flag: null }, "it gives null, not true or false"],
    ["event.metadata.flag", { flag: [] }, "it gives a list or map, not true or false"],
    ["event.metadata.flag", { flag: 1 }, "it gives a number, not true or false"],
    ["!event.metadata.flag", { flag: "yes" }, /^found no matching overload for '!_'/],
    ["event.metadata.flag && true", { flag: "yes" }, /^type mismatch: expected bool/],
    ["event.metadata.list[3] == 1", { list: [1] }, "a function cannot take what the event holds"],
    ["int(event.metadata.n) > 3", { n: "secret" }, "a function cannot take what the event holds"],
    [
      "event.metadata.a == 1",
      Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, index])),
      "metadata has more than 4096 values",
    ],
    [
      "event.metadata.missing == 1 || event.metadata.flag",
      { flag: "yes" },
      /^type mismatch|^field not found|^a function/,
    ],
  ])("%s of %j", (expression, metadata, why) => {
    const found = verdict(expression, withMetadata(metadata));
    expect(found.isProtected).toBe(true);
    expect(found.why).toEqual([typeof why === "string" ? why : expect.stringMatching(why)]);
  });

  test("with the rule's own reason and expression, and nothing of the event", () => {
    const failures: RuleFailure[] = [];
    const compiled = compileRules(rules("event.turn == 5", "int(event.text) == 3"), "rules");
    expect(compiled.reasonOf(message("my password"), (failure) => failures.push(failure))).toBe(
      "r1",
    );
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ reason: "r1", expression: "int(event.text) == 3" });
    expect(JSON.stringify(failures)).not.toContain("password");
  });

  test("but large metadata does not matter to rules that do not look at it", () => {
    const metadata = { list: Array.from({ length: 5_000 }, () => 1) };
    expect(verdict('event.text == "x"', message("x", { metadata })).why).toEqual([]);
  });
});

describe("a rule that does not compile is refused with its place", () => {
  test.each([
    ["", "1:1: it is empty"],
    ["event.turn ==", "1:12: "],
    ["event.turn == 1)", '1:16: ")" cannot stand here'],
    ["true &&\n  event.kind = 1", '2:14: "=" cannot stand here'],
    ["(", "1:2: it ends too early"],
    ['evnt.text == "a"', '1:1: there is no "evnt"; a rule is about "event"'],
    ["true || event.txt == 1", '1:14: an event has no "txt"; it has revision, turn, '],
    ["event.text", "1:1: tried on an empty event, it gives a text, not true or false"],
    ["event.text.contains(1)", "1:1: tried on an empty event, found no matching overload"],
    ["event.text.exists(c, c == 1)", "1:1: tried on an empty event, type mismatch: iterable"],
    ["foo(1)", '1:1: rules have no function "foo"; they have bool, double, '],
    ['event.text.matches("a")', '1:11: rules have no function "matches"; use contains'],
    ['event.text.replace("", event.text) == ""', '1:11: rules have no function "replace"'],
    ["[1].filter(x, true) == []", "1:4: rules have no map and filter; use exists"],
    ["[1].map(x, x) == []", "1:4: rules have no map and filter; use exists"],
    ["[1].exists(event, true)", '1:4: "event" cannot be the name of an element'],
    ["[1].exists(x, true) && x == 1", '1:24: there is no "x"'],
    ["google.protobuf.Struct{} == 1", "1:1: rules make no messages"],
    ["{1: x} == {}", '1:5: there is no "x"'],
    [`"${"x".repeat(2_047)}"`, "1:1: it has 2049 bytes, the limit is 2048"],
    [`${"true || ".repeat(400).slice(0, 1_996)}true`, "1:1: it has "],
    [`${"(".repeat(33)}true${")".repeat(33)}`, "1:1: more than 32 brackets are open at once"],
    ["'\\uD800' == ''", "1:1: surrogate code points are not allowed"],
  ])("%j", (expression, place) => {
    const { field, description } = refusal("true", expression);
    expect(field).toBe("policy.protection_rules[1].expression");
    expect(description).toContain(`does not compile at ${place}`);
  });

  test("as are too many rules, and rules that are too much together", () => {
    const many = Array.from({ length: 65 }, () => "true");
    expect(refusal(...many)).toEqual({
      field: "policy.protection_rules",
      description: "65 rules, the limit is 64",
    });
    const long = Array.from({ length: 9 }, () => `true${" || true".repeat(200)}`);
    expect(refusal(...long).field).toBe("policy.protection_rules[6].expression");
    expect(refusal(...long).description).toMatch(/^the rules up to here have \d+ words and signs/);
  });
});

describe("a rule that explodes is stopped", () => {
  test("459 characters of comprehensions inside one another do not compile", () => {
    const list = `[${Array.from({ length: 10 }, (_, index) => index).join(",")}]`;
    const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    const open = names.map((name) => `${list}.all(${name}, `).join("");
    const rest = "event.text.contains(event.kind + event.author + event.call_id + event.model)";
    const body = rest.padEnd(459 - open.length - names.length - 8, " ");
    const expression = `${open}${body}|| false${")".repeat(names.length)}`;
    expect(expression).toHaveLength(459);
    expect(refusal(expression).description).toMatch(
      /^does not compile at 1:\d+: a comprehension stands inside another/,
    );
  });

  test("neither does one in what another goes through", () => {
    const { description } = refusal("true && [[1].all(y, true)].all(z, z)");
    expect(description).toContain("1:13: a comprehension stands inside another");
  });

  // Steps stand for time (see `costs.ts`): 65,536 of them take a few milliseconds.
  const text = "a".repeat(20_000);
  const metadata = Object.fromEntries(
    Array.from({ length: 1_800 }, (_, index) => [`k${index}`, { n: index }]),
  );
  const word = `${"a".repeat(150)}b${"a".repeat(150)}`;
  test.each([
    ["a round for each character", 'event.text.split("").exists(c, c == "b")'],
    ["maps compared in every round", "event.metadata.all(k, event.metadata == event.metadata)"],
    [
      "many looks in every round",
      `event.metadata.all(k, ${"event.metadata[k].n >= 0.0 && ".repeat(8)}true)`,
    ],
    ["searches for long words", `[${"1,".repeat(20)}1].exists(x, event.text.contains("${word}"))`],
    [
      "texts put together",
      `[${"event.text,".repeat(90)}].all(t, ${'t + t + t + t != "b" && '.repeat(20)}true)`,
    ],
  ])("%s", (_, expression) => {
    expect(verdict(expression, message(text, { metadata }))).toEqual({
      isProtected: true,
      why: ["it takes more than 65536 steps"],
    });
  });

  test("a rule out of steps weighs nothing more in the rounds that are left", () => {
    const expression = "event.metadata.all(k, event.metadata == event.metadata)";
    const elapsed = () => {
      const startMs = performance.now();
      expect(verdict(expression, message("x", { metadata })).why).toHaveLength(1);
      return performance.now() - startMs;
    };
    // It took three seconds; 30 ms here. Far apart, because machines differ.
    expect(Math.min(elapsed(), elapsed(), elapsed())).toBeLessThan(500);
  });

  test("the steps are each rule's own", () => {
    const words = `${"word ".repeat(400)}end`;
    const expression = 'event.text.split(" ").exists(w, w == "end")';
    const compiled = compileRules(
      rules(...Array.from({ length: 64 }, () => "event.turn == 9")),
      "r",
    );
    expect(compiled.reasonOf(message(words))).toBeUndefined();
    for (let round = 0; round < 10; round++) {
      expect(verdict(expression, message(words))).toEqual({ isProtected: true, why: [] });
    }
  });

  test("forty keywords over the largest text are no explosion", () => {
    const keywords = Array.from(
      { length: 40 },
      (_, index) => `event.text.lowerAscii().contains("kw${index}")`,
    );
    const found = verdict(keywords.join(" || "), message(text));
    expect(found).toEqual({ isProtected: false, why: [] });
  });
});

test("text behind the first 16,384 units is not looked at", () => {
  const event = message(`${"x".repeat(16_384)}secret`);
  expect(verdict('event.text.contains("secret")', event).isProtected).toBe(false);
  expect(verdict("size(event.text) == 16384", event).isProtected).toBe(true);
});

test("stacks of errors are as they were after a rule has run", () => {
  const before = Error.stackTraceLimit;
  verdict("event.metadata.flag", withMetadata({ flag: "x" }));
  expect(Error.stackTraceLimit).toBe(before);
});
