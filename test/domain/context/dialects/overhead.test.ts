import { Dialect } from "@sessiond/contract";
import { expect, test } from "vitest";
import { overheadOf, windowOverhead } from "../../../../src/domain/context/dialects/overhead.ts";
import { assistant, call, eventOf, image, result, shown, thinking, user } from "./support.ts";

const dialects = [
  Dialect.OPENAI_CHAT,
  Dialect.OPENAI_RESPONSES,
  Dialect.ANTHROPIC_MESSAGES,
  Dialect.GEMINI,
];

test("without a dialect nothing is added", () => {
  expect(windowOverhead(Dialect.UNSPECIFIED)).toBe(0);
  expect(overheadOf(Dialect.UNSPECIFIED, user("hi"))).toBe(0);
});

test("OpenAI's published count, 3 tokens a message, 1 a name and 3 for the answer, is not undercut", () => {
  expect(windowOverhead(Dialect.OPENAI_CHAT)).toBeGreaterThanOrEqual(3);
  expect(overheadOf(Dialect.OPENAI_CHAT, user("hi"))).toBeGreaterThanOrEqual(3);
  const plain = overheadOf(Dialect.OPENAI_CHAT, assistant("hi"));
  const named = overheadOf(Dialect.OPENAI_CHAT, assistant("hi", { author: "bob" }));
  expect(named).toBeGreaterThanOrEqual(plain + 1 + 1);
});

test.each(dialects)("in dialect %i each message, call and result costs something", (dialect) => {
  for (const event of [user("hi"), assistant("hi"), call("a", "f"), result("a", "1")]) {
    expect(overheadOf(dialect, event)).toBeGreaterThan(0);
  }
  expect(windowOverhead(dialect)).toBeGreaterThan(0);
});

test.each(dialects)("in dialect %i what is shown beside an event's text is counted", (dialect) => {
  const note = (text: string) =>
    eventOf({
      payload: {
        case: "custom",
        value: { type: "note", value: { kind: { case: "stringValue", value: text } } },
      },
    });
  const more = overheadOf(dialect, note("x".repeat(400))) - overheadOf(dialect, note(""));
  expect(more).toBeGreaterThanOrEqual(100);
  expect(overheadOf(dialect, shown("a", image("s3://b")))).toBeGreaterThan(
    overheadOf(dialect, user("a")),
  );
  expect(overheadOf(dialect, user(""))).toBeGreaterThan(overheadOf(dialect, user("a")));
  const broken = `{"a": "${'"'.repeat(50)}`;
  expect(overheadOf(dialect, call("a", "f", broken))).toBeGreaterThan(
    overheadOf(dialect, call("a", "f", "{}")) + 50,
  );
});

test("a thought that the provider hides costs by the length of its cipher text", () => {
  const hidden = thinking("", "", {
    raw: {
      format: "openai-responses",
      json: JSON.stringify({ encrypted_content: "x".repeat(800) }),
    },
  });
  expect(overheadOf(Dialect.OPENAI_RESPONSES, hidden)).toBeGreaterThan(200);
  expect(overheadOf(Dialect.GEMINI, hidden)).toBe(0);
});
