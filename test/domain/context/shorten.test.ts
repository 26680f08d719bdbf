import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  EventSchema,
  SizeClass,
  type ToolResultPolicy,
  ToolResultPolicySchema,
  type ToolResultSchema,
} from "@sessiond/contract";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { shortenResult } from "../../../src/domain/context/shorten.ts";
import type { TokenCounter } from "../../../src/domain/tokens/counter.ts";
import { countEvents } from "../../../src/domain/tokens/media.ts";
import { WorkerTokenCounter } from "../../../src/domain/tokens/worker-counter.ts";
import { characterCounter } from "../../support/domain.ts";

const encoding = "o200k_base";
const tokenizer = new WorkerTokenCounter({ log: { warn: () => {} } });
afterAll(() => tokenizer.close());

type ResultInit = MessageInitShape<typeof ToolResultSchema>;

function result(value: ResultInit) {
  return create(EventSchema, {
    revision: 7,
    raw: { format: "openai-chat", json: '{"a":1}' },
    payload: { case: "toolResult", value: { callId: "c", ...value } },
  });
}

function policy(init: MessageInitShape<typeof ToolResultPolicySchema>): ToolResultPolicy {
  return create(ToolResultPolicySchema, init);
}

/** The short form of a result: its content and tokens. A character is a token unless told. */
async function shorten(
  value: ResultInit,
  options: { policy?: ToolResultPolicy; tokens?: TokenCounter; factor?: number } = {},
) {
  const { tokens = characterCounter, factor = 1 } = options;
  const event = result(value);
  const [whole] = await countEvents(tokens, [event], { encoding, factor });
  const short = await shortenResult({
    event,
    policy: options.policy,
    encoding,
    factor,
    tokens,
    whole: whole?.count ?? 0,
  });
  if (short?.event.payload.case !== "toolResult") return undefined;
  return { ...short, content: short.event.payload.value.content, whole: whole?.count ?? 0 };
}

const thumbnail = {
  content: { case: "image", value: { uri: "https://e.com/a.png", sizeClass: SizeClass.SMALL } },
} as const;

describe("head and tail", () => {
  test("are the first 300 and the last 100 tokens, around what was cut", async () => {
    const short = await shorten({ content: " word".repeat(1_000) }, { tokens: tokenizer });
    expect(short?.content).toBe(
      `${" word".repeat(300)}\n[… 600 tokens cut, revision 7]\n${" word".repeat(100)}`,
    );
    const [count] = await tokenizer.count([short?.content ?? ""], encoding);
    expect(short?.tokens).toBe(count?.count);
    expect(short?.event.tokens).toEqual(count);
  });

  test("have the sizes of the policy, none included", async () => {
    const content = `${"a".repeat(100)}${"b".repeat(100)}`;
    const few = policy({ headTokens: 10, tailTokens: 5 });
    expect((await shorten({ content }, { policy: few }))?.content).toBe(
      `${"a".repeat(10)}\n[… 185 tokens cut, revision 7]\n${"b".repeat(5)}`,
    );
    const none = policy({ headTokens: 0, tailTokens: 0 });
    expect((await shorten({ content }, { policy: none }))?.content).toBe(
      "[… 200 tokens cut, revision 7]",
    );
  });

  test("are no short form when that would not be shorter", async () => {
    expect(await shorten({ content: "a".repeat(400) })).toBeUndefined();
    // The marker takes 29 characters and the line breaks two.
    expect(await shorten({ content: "a".repeat(431) })).toBeUndefined();
    expect(await shorten({ content: "a".repeat(432) })).toMatchObject({ tokens: 431 });
  });

  test("say what was cut before a model's factor, and count with it", async () => {
    const short = await shorten({ content: "a".repeat(1_000) }, { factor: 1.4 });
    expect(short?.content).toContain("[… 600 tokens cut, revision 7]");
    expect(short?.whole).toBe(1_400);
    expect(short?.tokens).toBe(Math.ceil((short?.content.length ?? 0) * 1.4));
  });
});

describe("a stub", () => {
  const stubs = policy({ stubCharacters: 10 });

  test("is the first characters of the result", async () => {
    const content = `0123456789${"x".repeat(90)}`;
    expect((await shorten({ content }, { policy: stubs }))?.content).toBe(
      "[Summarized: 0123456789...]",
    );
  });

  test("counts a pair of surrogates as one character", async () => {
    const content = "😀".repeat(50);
    expect((await shorten({ content }, { policy: stubs }))?.content).toBe(
      `[Summarized: ${"😀".repeat(10)}...]`,
    );
  });

  test("is none when that would not be shorter", async () => {
    expect(await shorten({ content: "0123456789" }, { policy: stubs })).toBeUndefined();
    expect(await shorten({ content: "0123456789x" }, { policy: stubs })).toBeUndefined();
    const most = policy({ stubCharacters: 4_294_967_295 });
    expect(await shorten({ content: "x".repeat(1_000) }, { policy: most })).toBeUndefined();
  });

  test("says which images and files are left out", async () => {
    const content = "x".repeat(100);
    const parts = [thumbnail, thumbnail];
    expect((await shorten({ content, parts }, { policy: stubs }))?.content).toBe(
      "[Summarized: xxxxxxxxxx...]\n[… 2 images cut, revision 7]",
    );
  });
});

describe("a short form", () => {
  test("keeps call, failure, progress and all else, without the provider's own form", async () => {
    const short = await shorten({ content: "a".repeat(1_000), isError: true, isFinal: false });
    expect(short?.event.payload.value).toMatchObject({
      callId: "c",
      isError: true,
      isFinal: false,
    });
    expect(short?.event.revision).toBe(7);
    expect(short?.event.raw).toBeUndefined();
    const final = await shorten({ content: "a".repeat(1_000) });
    expect(final?.event.payload.value).not.toHaveProperty("isFinal");
  });

  test("leaves the event it is made of as it was", async () => {
    const event = result({ content: "a".repeat(1_000), parts: [thumbnail] });
    const before = toBinary(EventSchema, event);
    await shortenResult({
      event,
      policy: undefined,
      encoding,
      tokens: characterCounter,
      whole: 2_000,
    });
    expect(toBinary(EventSchema, event)).toEqual(before);
  });

  test("holds texts of parts, and leaves out images and files, which it says", async () => {
    const parts = [
      { content: { case: "text", value: "b".repeat(500) } } as const,
      thumbnail,
      { content: { case: "file", value: { uri: "file:///a.pdf" } } } as const,
    ];
    const short = await shorten({ content: "a".repeat(500), parts });
    expect(short?.content).toBe(
      `${"a".repeat(300)}\n[… 601 tokens and 1 image and 1 file cut, revision 7]\n${"b".repeat(100)}`,
    );
    expect(short?.event.payload.value).toMatchObject({ parts: [] });
  });

  test("of a short text beside an image is the text", async () => {
    expect((await shorten({ content: "seen", parts: [thumbnail] }))?.content).toBe(
      "seen\n[… 1 image cut, revision 7]",
    );
  });

  test("exists for tool results alone", async () => {
    const value = { text: "a".repeat(1_000) };
    const event = create(EventSchema, { payload: { case: "message", value } });
    const args = { policy: undefined, encoding, tokens: characterCounter, whole: 1_000 };
    expect(await shortenResult({ event, ...args })).toBeUndefined();
  });

  test("of any result is shorter, counted exactly, and cuts no character in two", async () => {
    const policies = fc.record(
      {
        headTokens: fc.integer({ min: 0, max: 40 }),
        tailTokens: fc.integer({ min: 0, max: 40 }),
        stubCharacters: fc.integer({ min: 0, max: 40 }),
      },
      { requiredKeys: [] },
    );
    const text = fc.string({
      unit: fc.constantFrom("a", " ", "\n", "9", "我", "😀", "\u0301", "👩‍👦"),
    });
    const halves = fc.string({ unit: fc.constantFrom("a", "\ud83d", "\ude00", "\ufeff") });
    let shortened = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(text, halves), policies, async (unit, init) => {
        const content = unit.repeat(30);
        const short = await shorten({ content }, { policy: policy(init), tokens: tokenizer });
        if (short === undefined) return;
        shortened += 1;
        const [count] = await tokenizer.count([short.content], encoding);
        expect(short.tokens).toBe(count?.count);
        expect(short.tokens).toBeLessThan(short.whole);
        if (content.isWellFormed()) expect(short.content.isWellFormed()).toBe(true);
      }),
      { numRuns: 300 },
    );
    expect(shortened).toBeGreaterThan(50);
  });
});
