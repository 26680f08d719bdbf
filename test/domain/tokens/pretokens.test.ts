import fc from "fast-check";
import { get_encoding } from "tiktoken";
import { describe, expect, test } from "vitest";
import { PretokenCounts, pretokensOf } from "../../../src/domain/tokens/pretokens.ts";
import { encodings } from "../../../src/domain/tokens/protocol.ts";
import { readRealRuns } from "./corpora.ts";

const realRuns = readRealRuns();

/** Characters on every seam of the expressions, and each that is let in at all. */
const seams = [
  ...["a", "B", "Zz", "é", "É", "ß", "ª", "µ", "OpenAI", "HTTPServer"],
  ...["0", "12", "345", "6789", "²", "¼"],
  ...["'", "'s", "'LL", "'Re", "’s", "''"],
  ...[" ", "  ", "\t", "\u00a0", "\n", "\r\n", "\n\n", " \n ", "\v", "\f"],
  ...["!", "/", "//", "—", "…", "€", "•", "\u00ad", "\u0000", "\u001c", "<|endoftext|>", '{"a":'],
];
const known = String.fromCharCode(
  ...Array.from({ length: 0x100 }, (_, unit) => unit).filter((unit) => unit !== 0x85),
  ...Array.from({ length: 0x18 }, (_, index) => 0x2010 + index),
  0x20ac,
);
const text = fc
  .array(fc.oneof(fc.constantFrom(...seams), fc.constantFrom(...known)), { maxLength: 60 })
  .map((parts) => parts.join(""));

describe.each(["o200k_base", "cl100k_base"] as const)("in %s", (encoding) => {
  const tokenizer = get_encoding(encoding);
  const tokens = (part: string) => tokenizer.encode_ordinary(part).length;
  const sum = (pretokens: readonly string[] | undefined) =>
    pretokens?.reduce((count, pretoken) => count + tokens(pretoken), 0);

  test("pretokens are the text, and their tokens add up to its own", () => {
    fc.assert(
      fc.property(text, (whole) => {
        const pretokens = pretokensOf(whole, encoding);
        expect(pretokens?.join("")).toBe(whole);
        expect(sum(pretokens)).toBe(tokens(whole));
      }),
      { numRuns: 5_000 },
    );
  });

  test("every character stands in them as in the tokenizer, beside every other", () => {
    for (const unit of known) {
      for (const other of known) {
        const whole = `${other}${unit}${other}${other}${unit}${unit}${other}s`;
        if (sum(pretokensOf(whole, encoding)) !== tokens(whole)) expect.fail(JSON.stringify(whole));
      }
    }
  });

  test.skipIf(realRuns === undefined)("most texts of real runs are cut", () => {
    const short = (realRuns ?? []).filter(({ length }) => length > 0 && length <= 1_024);
    const cut = short.filter((one) => pretokensOf(one, encoding) !== undefined);
    expect(cut.length).toBeGreaterThan(short.length * 0.9);
    for (const one of cut) expect(sum(pretokensOf(one, encoding))).toBe(tokens(one));
  });
});

test("what is not known beyond doubt is left to the tokenizer", () => {
  const others = ["中文", "ſ", "\u212a", "\u0085", "\u2028", "😀", "\ufeff", "a\u0301"];
  for (const other of others) expect(pretokensOf(`a ${other}`, "o200k_base")).toBeUndefined();
  expect(pretokensOf("a".repeat(65), "o200k_base")).toBeUndefined();
  expect(pretokensOf("a ".repeat(513), "o200k_base")).toBeUndefined();
  const rare = encodings.filter((name) => name !== "o200k_base" && name !== "cl100k_base");
  for (const encoding of rare) expect(pretokensOf("a", encoding)).toBeUndefined();
});

test("counts are remembered up to a limit, those that are asked for longest", () => {
  const counts = new PretokenCounts({ limit: 6 });
  for (const [index, pretoken] of ["a", " b—", "c"].entries()) counts.set(pretoken, index);
  expect(["a", " b—", "c"].map((pretoken) => counts.get(pretoken))).toEqual([0, 1, 2]);
  for (const pretoken of ["d", "e", "f", "g"]) {
    counts.set(pretoken, 3);
    counts.set(pretoken, 3);
    expect(counts.get("a")).toBe(0);
  }
  expect([counts.get(" b—"), counts.get("c")]).toEqual([undefined, undefined]);
});
