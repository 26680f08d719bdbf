import fc from "fast-check";
import { get_encoding, type Tiktoken } from "tiktoken";
import { describe, expect, test } from "vitest";
import { type Encoding, encodings } from "../../../src/domain/tokens/protocol.ts";
import {
  type Slice,
  slices,
  slicesFromEnd,
  slicesFromStart,
} from "../../../src/domain/tokens/slices.ts";
import { readRealRuns } from "./corpora.ts";

const realRuns = readRealRuns();

const tokenizers = new Map<Encoding, Tiktoken>();

function tokens(text: string, encoding: Encoding): number {
  const tokenizer = tokenizers.get(encoding) ?? get_encoding(encoding);
  tokenizers.set(encoding, tokenizer);
  return tokenizer.encode_ordinary(text).length;
}

/** Lengths at which a text is cut on every boundary and nowhere else. */
const everyBoundary = { run: Number.POSITIVE_INFINITY, piece: 1, slice: 1 };

function sum(parts: Iterable<Slice>, encoding: Encoding): number {
  let total = 0;
  for (const part of parts) total += tokens(part.text, encoding);
  return total;
}

/** Short strings that sit on every seam of the pre-tokenizers, to be joined at random. */
const fragments = [
  ...["a", "B", "Zz", "é", "ſ", "中", "文字", "ก", "ำ", "ʰ", "ǅ", "𝒜", "𠀀"],
  ...["0", "12", "345", "٣", "²", "𝟙"],
  ...["\u0301", "\u0903", "\ufe0f", "\u{1e8d0}"],
  ...["'", "'s", "'LL", "’s"],
  ...[" ", "  ", "\t", "\u00a0", "\u2028", "\u0085", "\ufeff", "\n", "\r\n", "\n\n", " \n "],
  ...["!", "/", "//", "—", "，", "😀", "👩‍👩‍👧", "<|endoftext|>", "\u0000", "\u0378"],
];

const seamText = fc
  .array(fc.oneof(fc.constantFrom(...fragments), fc.string({ unit: "binary", maxLength: 3 })), {
    minLength: 60,
    maxLength: 200,
  })
  .map((parts) => parts.join(""));

describe.each(encodings)("in %s", (encoding) => {
  test("a cut on a boundary never changes the count", () => {
    fc.assert(
      fc.property(seamText, (text) => {
        const parts = [...slices(text, encoding, everyBoundary)];
        expect(parts.map((part) => part.text).join("")).toBe(text);
        expect(sum(parts, encoding)).toBe(tokens(text, encoding));
      }),
      { numRuns: 2_000 },
    );
  });

  test("a letter that is younger than the tokenizers is not cut from what follows", () => {
    const text = `\ua7d2\u2014a${"a".repeat(30)}`;
    expect(sum(slices(text, encoding, everyBoundary), encoding)).toBe(tokens(text, encoding));
  });

  test("slices of a text are the text, and none is marked without a long run", () => {
    fc.assert(
      fc.property(seamText, (text) => {
        const long = `${text} x `.repeat(1 + Math.ceil(40_000 / text.length));
        const parts = [...slices(long, encoding)];
        expect(parts.length).toBeGreaterThan(1);
        expect(parts.map((part) => part.text).join("")).toBe(long);
        expect(parts.every((part) => !part.estimated)).toBe(true);
        expect(sum(parts, encoding)).toBe(tokens(long, encoding));
      }),
      // Long texts take long to shrink, and the property above finds the short one.
      { numRuns: 5, endOnFailure: true },
    );
  });

  test("slices from either end are the text, and change no count without a long run", () => {
    fc.assert(
      fc.property(seamText, (text) => {
        const long = `${text} x `.repeat(1 + Math.ceil(6_000 / text.length));
        const fromEnd = [...slicesFromEnd(long, encoding)].reverse();
        for (const parts of [fromEnd, [...slicesFromStart(long, encoding)]]) {
          expect(parts.length).toBeGreaterThan(3);
          expect(parts.map((part) => part.text).join("")).toBe(long);
          expect(sum(parts, encoding)).toBe(tokens(long, encoding));
        }
      }),
      { numRuns: 20, endOnFailure: true },
    );
  });
});

const hostile = {
  "one letter": "a",
  "letters of both cases": "aB",
  "letters with marks": "e\u0301",
  chinese: "我想下个月去日本旅行",
  "chinese beyond U+FFFF": "𠀀",
  emoji: "😀",
  "emoji families": "👩‍👩‍👧‍👦",
  spaces: " ",
  "line breaks": "\n",
  "carriage returns": "\r\n",
  punctuation: "!",
  "punctuation and line breaks": "!\n",
  apostrophes: "'s",
  "digits beyond U+FFFF": "𝟙",
  "lone surrogates": "\ud83d",
};

describe.each(Object.entries(hostile))("a long run of %s", (_, unit) => {
  const text = unit.repeat(Math.ceil(5_000 / unit.length));
  const parts = [...slices(`before ${text} after`, "o200k_base")];

  test("is cut into short pieces that are marked", () => {
    expect(parts.map((part) => part.text).join("")).toBe(`before ${text} after`);
    const marked = parts.filter((part) => part.estimated);
    expect(marked.length).toBeGreaterThan(10);
    for (const part of marked) expect(part.text.length).toBeLessThanOrEqual(256);
  });

  test("is cut the same way from its end", () => {
    const fromEnd = [...slicesFromEnd(`before ${text} after`, "o200k_base")].reverse();
    expect(fromEnd.map((part) => part.text).join("")).toBe(`before ${text} after`);
    for (const part of fromEnd) expect(part.text.length).toBeLessThanOrEqual(2_048);
    const marked = fromEnd.filter((part) => part.estimated);
    expect(marked.length).toBeGreaterThan(10);
    for (const part of marked) expect(part.text.length).toBeLessThanOrEqual(256);
  });

  test("is never counted below its tokens, and at most a tenth above", () => {
    const whole = tokens(`before ${text} after`, "o200k_base");
    expect(sum(parts, "o200k_base")).toBeGreaterThanOrEqual(whole);
    expect(sum(parts, "o200k_base")).toBeLessThanOrEqual(whole * 1.1 + 2);
  });
});

test("a cut run keeps its surrogate pairs whole", () => {
  const text = `x${"😀".repeat(2_000)}`;
  for (const parts of [slices(text, "o200k_base"), slicesFromEnd(text, "o200k_base")]) {
    for (const part of parts) expect(part.text.isWellFormed()).toBe(true);
  }
});

test("a run of 1,024 characters is counted whole, one of 1,025 is not", () => {
  const marks = (length: number) =>
    [...slices("a".repeat(length), "o200k_base")].some((part) => part.estimated);
  expect(marks(1_024)).toBe(false);
  expect(marks(1_025)).toBe(true);
});

test("digits without end are exact where they go by threes", () => {
  const text = `no ${"1234567".repeat(10_000)}!`;
  for (const encoding of ["o200k_base", "cl100k_base"] as const) {
    const parts = [...slices(text, encoding)];
    expect(parts.every((part) => !part.estimated && part.text.length < 40_000)).toBe(true);
    expect(sum(parts, encoding)).toBe(tokens(text, encoding));
  }
  expect([...slices(text, "gpt2")].some((part) => part.estimated)).toBe(true);
});

test.skipIf(realRuns === undefined)("every message of real runs counts the same in slices", () => {
  expect(realRuns?.length).toBeGreaterThan(1_000);
  for (const text of new Set(realRuns)) {
    const parts = [...slices(text, "o200k_base", everyBoundary)];
    expect(sum(parts, "o200k_base")).toBe(tokens(text, "o200k_base"));
  }
});
