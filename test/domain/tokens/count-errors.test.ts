import { TokenAccuracy } from "@sessiond/contract";
import { get_encoding } from "tiktoken";
import { afterAll, describe, expect, test } from "vitest";
import { estimateCut, estimateTokens } from "../../../src/domain/tokens/estimate.ts";
import { WorkerTokenCounter } from "../../../src/domain/tokens/worker-counter.ts";
import { corpora, readRealRuns } from "./corpora.ts";

/*
 * Count: how far counts that are not exact are from the truth. `npm run bench -- tokens` prints the
 * errors.
 */

const counter = new WorkerTokenCounter({ log: { warn: () => {} } });
afterAll(() => counter.close());

const realRuns = readRealRuns();
const texts = Object.entries(corpora);

/** Kinds of texts that hold a run of more than 1,024 characters without a boundary. */
const cut = ["emoji", "one letter", "chinese in one run"];

describe.each(["o200k_base", "cl100k_base", "r50k_base"] as const)("Count: in %s", (encoding) => {
  const tokenizer = get_encoding(encoding);
  const truth = (text: string) => tokenizer.encode_ordinary(text).length;

  test.each(texts)("%s is counted exactly, unless it is an endless run", async (name, text) => {
    const [count] = await counter.count([text], encoding);
    if (count?.accuracy === TokenAccuracy.EXACT) {
      expect(count.count).toBe(truth(text));
      expect(cut).not.toContain(name);
    } else {
      expect(cut).toContain(name);
      expect(count?.count).toBeGreaterThanOrEqual(truth(text));
      expect(count?.count).toBeLessThanOrEqual(truth(text) * 1.1);
    }
  });

  test.each(texts)(
    "an estimate of %s is never far below the truth, and at most four times of it",
    (_, text) => {
      const ratio = estimateTokens(text) / truth(text);
      expect(ratio).toBeGreaterThanOrEqual(0.95);
      expect(ratio).toBeLessThanOrEqual(4);
    },
  );

  test.skipIf(realRuns === undefined)("so is that of each message of real runs", () => {
    for (const text of new Set(realRuns)) {
      const ratio = estimateTokens(text) / truth(text);
      expect(ratio).toBeGreaterThanOrEqual(0.95);
      // Short ones may be a single long word.
      expect(ratio).toBeLessThanOrEqual(text.length > 100 ? 4 : 10);
    }
  });
});

test("Count: an estimate is for any text, half pairs included", () => {
  expect(estimateTokens("")).toBe(0);
  expect(estimateTokens("a")).toBe(1);
  expect(estimateTokens("\ud83d")).toBeGreaterThan(0);
});

test("Count: a cut without a tokenizer keeps no more characters than tokens, and pairs whole", () => {
  const keep = { headTokens: 3, tailTokens: 2 };
  expect(estimateCut("abcdefgh", keep)).toEqual({ headLength: 3, tailLength: 2, keptTokens: 5 });
  expect(estimateCut("abcde", keep)).toBeUndefined();
  expect(estimateCut("😀😀😀😀", keep)).toEqual({ headLength: 2, tailLength: 2, keptTokens: 5 });
  expect(estimateCut("ab😀cd😀e", { headTokens: 3, tailTokens: 2 })).toMatchObject({
    headLength: 2,
    tailLength: 1,
  });
  expect(estimateCut("😀😀", { headTokens: 0, tailTokens: 0 })).toMatchObject({
    headLength: 0,
    tailLength: 0,
  });
});
