import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CountTokensRequestSchema,
  Dialect,
  EventSchema,
  Role,
  TokenAccuracy,
} from "@sessiond/contract";
import { expect, test } from "vitest";
import { TokenCounting } from "../../../src/domain/context/count.ts";
import { overheadOf, windowOverhead } from "../../../src/domain/context/dialects/overhead.ts";
import { InvalidFieldError, NotSupportedError } from "../../../src/errors.ts";
import { characterCounter, userText } from "../../support/domain.ts";

const { EXACT, ESTIMATED } = TokenAccuracy;
const counting = new TokenCounting({ tokens: characterCounter });

function count(request: MessageInitShape<typeof CountTokensRequestSchema>) {
  return counting.count(create(CountTokensRequestSchema, request));
}

const pictured = {
  role: Role.USER,
  payload: {
    case: "message",
    value: {
      text: "look",
      parts: [{ content: { case: "image", value: { uri: "https://e.com/a.png" } } }],
    },
  },
} as const;

test("texts, events and tools are counted each, in order, and together", async () => {
  const counts = await count({
    texts: ["one", "", "three"],
    events: [userText("hello"), { payload: { case: "handoff", value: { to: "other" } } }],
    tools: [{ name: "find" }],
  });
  expect(counts.texts.map((text) => text.count)).toEqual([3, 0, 5]);
  expect(counts.events.map((event) => event.count)).toEqual([5, 0]);
  expect(counts.tools.map((tool) => tool.count)).toEqual(['{"name":"find"}'.length]);
  expect(counts.total).toMatchObject({ count: 28, encoding: "o200k_base", accuracy: EXACT });
  expect(counts.overhead).toBe(0);
});

test("nothing has 0 tokens, exactly", async () => {
  const counts = await count({});
  expect(counts.total).toMatchObject({ count: 0, encoding: "o200k_base", accuracy: EXACT });
});

test("the total is as sure as the least sure of its parts", async () => {
  const { total, events } = await count({ texts: ["one"], events: [userText("two"), pictured] });
  expect(events.map(({ accuracy }) => accuracy)).toEqual([EXACT, ESTIMATED]);
  expect(total?.accuracy).toBe(ESTIMATED);
});

test("a model chooses the encoding, and adds its factor", async () => {
  const gpt = await count({ model: "gpt-4", texts: ["12345"], tools: [{ name: "find" }] });
  expect(gpt.total).toMatchObject({ count: 20, encoding: "cl100k_base", accuracy: EXACT });
  const claude = await count({
    model: "claude-sonnet-4-5",
    texts: ["12345"],
    events: [userText("12345")],
  });
  expect(claude.texts[0]).toMatchObject({ count: 7, accuracy: ESTIMATED });
  expect(claude.events[0]).toMatchObject({ count: 7, accuracy: ESTIMATED });
  expect(claude.total).toMatchObject({ count: 14, encoding: "o200k_base", accuracy: ESTIMATED });
});

test("an encoding that is named wins over the model's and its factor", async () => {
  const counts = await count({
    model: "claude-sonnet-4-5",
    encoding: "r50k_base",
    texts: ["12345"],
  });
  expect(counts.total).toMatchObject({ count: 5, encoding: "r50k_base", accuracy: EXACT });
});

test("a dialect adds to each event and to the whole, and to nothing without one", async () => {
  const events = [userText("hello"), pictured].map((init) => create(EventSchema, init));
  const plain = await count({ events });
  for (const dialect of [Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES]) {
    const counts = await count({ events, dialect });
    const each = events.map((event) => overheadOf(dialect, event));
    expect(counts.overhead).toBe(
      each.reduce((sum, tokens) => sum + tokens, windowOverhead(dialect)),
    );
    expect(counts.overhead).toBeGreaterThan(0);
    expect(counts.events).toEqual(plain.events);
    expect(counts.total?.count).toBe((plain.total?.count ?? 0) + counts.overhead);
  }
});

test("what cannot be counted is refused by name", async () => {
  await expect(count({ encoding: "claude" })).rejects.toThrow(NotSupportedError);
  await expect(count({ texts: Array.from({ length: 1_001 }, () => "") })).rejects.toThrow(
    InvalidFieldError,
  );
  await expect(count({ dialect: 99 as Dialect })).rejects.toThrow(/dialect: has no value 99/);
  await expect(count({ tools: [{ name: "" }] })).rejects.toThrow(/tools\[0\]\.name/);
});
