import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ExtractSummariser } from "../../../../src/domain/context/summarisers/extract.ts";
import { SummariserFailedError } from "../../../../src/errors.ts";
import { answered, assistant, countTokens, groups, task, user } from "./support.ts";

const summariser = new ExtractSummariser({ count: async (text) => countTokens(text) });

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 200 }),
  fc.lorem({ maxCount: 5, mode: "sentences" }),
  fc.json({ maxDepth: 3 }),
  fc
    .array(fc.constantFrom("a", "汉", "👩‍👩‍👧", "9", " ", ".", "\n", "· ", "user: "), {
      maxLength: 400,
    })
    .map((pieces) => pieces.join("")),
);
const events = fc.array(
  fc.oneof(
    text.map((value) => user(value)),
    text.map(assistant),
    text.map(answered),
  ),
  { minLength: 1, maxLength: 20 },
);

test("a summary has no more tokens than it may, is not blank, and is the same each time", async () => {
  await fc.assert(
    fc.asyncProperty(
      events,
      text,
      fc.integer({ min: 1, max: 300 }),
      async (said, before, maxTokens) => {
        const given = task({ groups: groups(...said), previousSummary: before, maxTokens });
        const summary = await summariser.summarise(given).catch((error: unknown) => {
          if (!(error instanceof SummariserFailedError) || maxTokens > 16) throw error;
          return undefined;
        });
        if (summary === undefined) return;
        expect(countTokens(summary)).toBeLessThanOrEqual(maxTokens);
        expect(summary.trim()).not.toBe("");
        expect(await summariser.summarise(given)).toBe(summary);
      },
    ),
    { numRuns: 300 },
  );
});

test("a summary that fits is absorbed again without a change", async () => {
  await fc.assert(
    fc.asyncProperty(events, async (said) => {
      const first = await summariser.summarise(
        task({ groups: groups(...said), maxTokens: 100_000 }),
      );
      const again = await summariser.summarise(
        task({ previousSummary: first, maxTokens: 100_000 }),
      );
      expect(again).toBe(first);
    }),
    { numRuns: 200 },
  );
});
