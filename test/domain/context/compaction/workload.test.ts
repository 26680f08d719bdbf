import { expect, test } from "vitest";
import { openTestDomain, userText } from "../../../support/domain.ts";
import { assistantText, compactionsOf, open, say, sessionId, text, usages } from "./support.ts";

/*
 * Seed's workload, a stated conversation: a question of 40 tokens and an answer of 120 in each turn,
 * on the default policy (8,000 tokens, 95 %, extract).
 */
async function workload(turns: number) {
  const domain = await openTestDomain();
  await open(domain);
  for (let turn = 0; turn < turns; turn++) {
    await say(domain, userText(text(40, turn)), assistantText(text(120, turn)));
  }
  return domain;
}

test("50 turns give one compaction", async () => {
  await using domain = await workload(50);
  expect(await compactionsOf(domain)).toHaveLength(1);
});

test("100 turns give two or three compactions", async () => {
  await using domain = await workload(100);
  const { length } = await compactionsOf(domain);
  expect([2, 3]).toContain(length);
});

test("50,000 tokens become 8,000 at most", async () => {
  await using domain = await workload(313);
  const window = await domain.window({ sessionId });
  expect((await domain.get(sessionId)).metrics?.tokens?.total).toBe(50_080);
  expect(window.tokens?.total).toBeLessThanOrEqual(8_000);
  expect((await usages(domain)).usage).toBe(window.tokens?.total);
});
