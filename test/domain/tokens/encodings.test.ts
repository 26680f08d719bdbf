import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { TokenAccuracy } from "@sessiond/contract";
import { expect, test } from "vitest";
import { encodingForModel, scaleCount, tokenCount } from "../../../src/domain/tokens/encodings.ts";

const tableFile = createRequire(import.meta.url).resolve("tiktoken/model_to_encoding.json");
const tiktokenTable = JSON.parse(readFileSync(tableFile, "utf8")) as Record<string, string>;

test("every model tiktoken knows has tiktoken's encoding", () => {
  const ours = Object.keys(tiktokenTable).map((model) => [model, encodingForModel(model)]);
  expect(Object.fromEntries(ours)).toEqual(
    Object.fromEntries(
      Object.entries(tiktokenTable).map(([model, encoding]) => [model, { encoding, factor: 1 }]),
    ),
  );
});

test.each([
  ["gpt-5.2-codex", "o200k_base", 1],
  ["openai/GPT-4o-2030-01-01", "o200k_base", 1],
  ["ft:gpt-3.5-turbo:org/team::id", "cl100k_base", 1],
  ["o3-pro", "o200k_base", 1],
  ["claude-sonnet-4-5", "o200k_base", 1.4],
  ["anthropic/claude-3-haiku", "o200k_base", 1.4],
  ["models/gemini-2.5-pro", "o200k_base", 1.3],
  ["llama3.3:70b", "o200k_base", 1.3],
  ["o100", "o200k_base", 1.3],
])("%s is counted in %s times %f", (model, encoding, factor) => {
  expect(encodingForModel(model)).toEqual({ encoding, factor });
});

test("without a model, counts are plain o200k_base", () => {
  expect(encodingForModel(undefined)).toEqual({ encoding: "o200k_base", factor: 1 });
  expect(encodingForModel("")).toEqual({ encoding: "o200k_base", factor: 1 });
});

test("a scaled count is rounded up and estimated, except where nothing is scaled", () => {
  const count = tokenCount({ count: 7, encoding: "o200k_base", estimated: false });
  expect(scaleCount(count, 1.3)).toMatchObject({ count: 10, accuracy: TokenAccuracy.ESTIMATED });
  expect(scaleCount(count, 1)).toBe(count);
  const empty = tokenCount({ count: 0, encoding: "o200k_base", estimated: false });
  expect(scaleCount(empty, 1.3)).toBe(empty);
});
