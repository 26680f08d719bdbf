import { expect, test } from "vitest";
import { durationText } from "../../../src/cli/text/times.ts";

test.each([
  [0, "0ms"],
  [0.4, "0ms"],
  [850, "850ms"],
  [999.6, "1s"],
  [1_500, "1.5s"],
  [59_949, "59.9s"],
  [59_999, "1m 0s"],
  [125_000, "2m 5s"],
  [3_599_999, "1h 0m"],
  [11_520_000, "3h 12m"],
  [86_399_999, "1d 0h"],
  [352_800_000, "4d 2h"],
])("%d ms are %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
