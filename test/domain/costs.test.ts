import { create } from "@bufbuild/protobuf";
import { CompactionStrategy, CompactSessionRequestSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { costTable } from "../../src/domain/costs.ts";
import { openTestDomain, userText } from "../support/domain.ts";

test("the longest beginning of a model's name decides its cost", () => {
  const costOf = costTable({ gpt: { inputPer1000: 1 }, "gpt-4o-mini": { inputPer1000: 0.15 } });
  expect(["gpt-4o", "gpt-4o-mini-2030", "claude"].map(costOf)).toEqual([1, 0.15, 0]);
});

test("metrics say what compactions saved", async () => {
  const costPer1000 = costTable({ "gpt-4o": { inputPer1000: 2.5 } });
  await using domain = await openTestDomain({ costPer1000 });
  const sessionId = "s";
  const compaction = { manual: true, strategy: CompactionStrategy.DROP };
  await domain.create({ session: { sessionId, model: "gpt-4o", contextPolicy: { compaction } } });
  for (let turn = 0; turn < 10; turn++) {
    await domain.append({ sessionId, events: [userText("x".repeat(500))] });
  }
  const request = create(CompactSessionRequestSchema, { sessionId, targetRatio: 0.25 });
  await domain.compactions.compact(request, new AbortController().signal);
  const compactions = (await domain.get(sessionId)).metrics?.compactions;
  const { tokensBefore = 0, tokensAfter = 0 } = compactions ?? {};
  expect(tokensBefore).toBe(5_000);
  expect(compactions?.savedCost).toBeCloseTo(((tokensBefore - tokensAfter) / 1_000) * 2.5);
});
