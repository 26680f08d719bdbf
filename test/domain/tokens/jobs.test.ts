import fc from "fast-check";
import { get_encoding } from "tiktoken";
import { describe, expect, test } from "vitest";
import { type Cut, countSteps, cutSteps } from "../../../src/domain/tokens/jobs.ts";

const encoding = "o200k_base";
const tiktoken = get_encoding(encoding);

/** A tokenizer that says how long the texts were that it was given. */
function observedTokenizer() {
  const lengths: number[] = [];
  return {
    lengths,
    tokenizer: {
      encode: (text: string) => {
        lengths.push(text.length);
        return tiktoken.encode_ordinary(text);
      },
      decode: (tokens: Uint32Array) => tiktoken.decode(tokens),
    },
  };
}

const { tokenizer } = observedTokenizer();

function finish<T>(steps: Generator<undefined, T, undefined>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

function cutOf(text: string, headTokens: number, tailTokens: number): Cut | undefined {
  return finish(cutSteps({ text, encoding, tokenizer }, { headTokens, tailTokens }));
}

function ends(text: string, cut: Cut | undefined): [string, string] | undefined {
  return cut && [text.slice(0, cut.headLength), text.slice(text.length - cut.tailLength)];
}

function count(text: string): number {
  return tiktoken.encode_ordinary(text).length;
}

const anyText = fc.string({ unit: "binary", maxLength: 400 });
const fewTokens = fc.integer({ min: 0, max: 40 });

describe("the ends of a text", () => {
  test("are its first and last words where words are tokens", () => {
    const text = " one two three four five six seven eight";
    expect(ends(text, cutOf(text, 3, 2))).toEqual([" one two three", " seven eight"]);
    expect(ends(text, cutOf(text, 0, 2))).toEqual(["", " seven eight"]);
    expect(ends(text, cutOf(text, 3, 0))).toEqual([" one two three", ""]);
    expect(ends(text, cutOf(text, 0, 0))).toEqual(["", ""]);
    expect(cutOf(text, 3, 2)?.keptTokens).toBe(5);
  });

  test("are none when they would meet", () => {
    expect(cutOf(" one two three four", 3, 1)).toBeUndefined();
    expect(cutOf(" one two three four", 4, 0)).toBeUndefined();
    expect(cutOf(" one two three four", 4_000_000_000, 4_000_000_000)).toBeUndefined();
    expect(cutOf("", 0, 0)).toBeUndefined();
    expect(cutOf(" one two three four", 2, 1)).toBeDefined();
  });

  test("of any text have no more tokens than asked for, and cut no character in two", () => {
    fc.assert(
      fc.property(anyText, fewTokens, fewTokens, (text, headTokens, tailTokens) => {
        const found = ends(text, cutOf(text, headTokens, tailTokens));
        if (found === undefined) {
          // Each end may be short of the characters that its last token belongs to.
          expect(count(text)).toBeLessThanOrEqual(headTokens + tailTokens + 8);
          return;
        }
        for (const end of found) expect(end.isWellFormed()).toBe(text.isWellFormed());
        // Cut off, a piece may be tokenized a little differently.
        expect(count(found[0])).toBeLessThanOrEqual(headTokens + 2);
        expect(count(found[1])).toBeLessThanOrEqual(tailTokens + 2);
      }),
      { numRuns: 500 },
    );
  });

  test("lose at most the characters that the cut goes through", () => {
    // Each character has three tokens or more.
    const text = "𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇".repeat(10);
    expect(ends(text, cutOf(text, 1, 1))).toEqual(["", ""]);
    const [head, tail] = ends(text, cutOf(text, 10, 10)) ?? ["", ""];
    for (const end of [head, tail]) {
      expect(end.isWellFormed()).toBe(true);
      expect(count(end)).toBeGreaterThan(6);
    }
  });

  test("stay in place when the text begins with a byte order mark or holds half pairs", () => {
    const text = `\ufeff\ud83d ${"word ".repeat(100)}\udc00\ufeff`;
    const [head, tail] = ends(text, cutOf(text, 20, 20)) ?? ["", ""];
    expect(head.startsWith("\ufeff\ud83d word ")).toBe(true);
    expect(tail.endsWith("word \udc00\ufeff")).toBe(true);
    expect([count(head), count(tail)]).toEqual([20, 20]);
  });
});

describe.each([
  ["words", " word"],
  ["one letter", "a"],
  ["chinese", "我想下个月去日本旅行"],
  ["emoji families", "👩‍👩‍👧‍👦"],
  ["line breaks", "\n"],
])("a megabyte of %s", (_, unit) => {
  const text = unit.repeat(Math.ceil(1_000_000 / unit.length));

  test("is cut by its ends alone", () => {
    const { lengths, tokenizer } = observedTokenizer();
    const keep = { headTokens: 300, tailTokens: 100 };
    const found = ends(text, finish(cutSteps({ text, encoding, tokenizer }, keep)));
    const [head, tail] = found?.map(count) ?? [];
    // Cut off, or in pieces, a run has a few tokens more or less than inside the text.
    expect(Math.abs(Number(head) - 300)).toBeLessThanOrEqual(10);
    expect(Math.abs(Number(tail) - 100)).toBeLessThanOrEqual(10);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThan(100_000);
    for (const length of lengths) expect(length).toBeLessThanOrEqual(2_048);
  });
});

test("the count of a text is the sum of its slices, marked when one is", () => {
  const { lengths, tokenizer } = observedTokenizer();
  const long = " word".repeat(20_000);
  expect(finish(countSteps({ text: long, encoding, tokenizer }))).toEqual({
    count: 20_000,
    estimated: false,
  });
  expect(lengths.length).toBeGreaterThan(10);
  const run = "a".repeat(2_000);
  expect(finish(countSteps({ text: run, encoding, tokenizer }))).toMatchObject({ estimated: true });
});
