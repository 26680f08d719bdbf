import fc from "fast-check";
import { expect, test } from "vitest";
import { widthOf } from "../../../src/cli/text/width.ts";
import { wrapped } from "../../../src/cli/window/wrap.ts";

const words = fc.array(fc.stringMatching(/^[a-z日]{1,8}$/), { minLength: 1, maxLength: 30 });

test("no line of a wrapped text is wider than asked for, and no word is lost", () => {
  fc.assert(
    fc.property(words, fc.integer({ min: 16, max: 60 }), (text, columns) => {
      const lines = wrapped(text.join(" "), columns);
      for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(columns);
      expect(lines.join(" ")).toBe(text.join(" "));
    }),
  );
});

test("a word that is wider than a line is cut", () => {
  expect(wrapped("a verylongword b", 6)).toEqual(["a", "veryl…", "b"]);
});
