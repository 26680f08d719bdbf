import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { safe, safeLines } from "../../../src/cli/text/safe.ts";
import { quoted } from "../../../src/cli/text/shell.ts";
import { age, durationMs } from "../../../src/cli/text/times.ts";
import { cut, padded, widthOf } from "../../../src/cli/text/width.ts";

/** Text in which what is dangerous on a terminal is common. */
const hostile = fc.string({
  unit: fc.oneof(
    fc.integer({ min: 0, max: 0x9f }).map((code) => String.fromCharCode(code)),
    fc.constantFrom("\x1b]0;title\x07", "\x1b[2J", "\u202e", "\u2028", "日", "👍🏽", "\ud800"),
  ),
});

test("safe text has no control character, no line break and no mark of direction", () => {
  fc.assert(
    fc.property(hostile, (text) => {
      expect(safe(text)).not.toMatch(/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
      expect(safe(text).isWellFormed()).toBe(true);
    }),
  );
});

test("safe lines have no control character but the line feeds between them", () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const lines = safeLines(text, "  ").split("\n");
      expect(lines.length).toBe(text.split("\n").length);
      for (const line of lines) expect(line).not.toMatch(/\p{Cc}/u);
    }),
  );
});

test("text that is cut or padded has just the columns it was given", () => {
  fc.assert(
    fc.property(hostile, fc.integer({ min: 2, max: 40 }), (text, columns) => {
      expect(widthOf(cut(safe(text), columns))).toBeLessThanOrEqual(columns);
      expect(widthOf(padded(safe(text), columns))).toSatisfy(
        // A wide character that does not fit leaves one column empty.
        (width: number) => width === columns,
      );
    }),
  );
});

test("a quoted word is one word to a shell, whatever it holds", () => {
  for (const word of ["plain", "two words", "it's", "$(id)", "a;b", "`x`", "", "*", "~", 'q"q']) {
    const out = execFileSync("sh", ["-c", `printf '<%s>' ${quoted(word)}`], { encoding: "utf8" });
    expect(out).toBe(`<${word}>`);
  }
});

test("durations and ages", () => {
  expect(["500ms", "30s", "10m", "2h", "1.5d"].map(durationMs)).toEqual([
    500, 30_000, 600_000, 7_200_000, 129_600_000,
  ]);
  expect(["10", "m", "-1m", "1w", ""].map(durationMs)).toEqual(Array(5).fill(undefined));
  const now = new Date(1_000_000_000);
  const ago = (ms: number) => age(new Date(now.getTime() - ms), now);
  expect([ago(-5), ago(59_000), ago(61_000), ago(7_200_000), ago(200_000_000)]).toEqual([
    "0s",
    "59s",
    "1m",
    "2h",
    "2d",
  ]);
});
