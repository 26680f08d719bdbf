import { expect, test } from "vitest";
import { openTestDomain, userText } from "../../../support/domain.ts";
import {
  assistantText,
  bytesOf,
  compactionsOf,
  drop,
  everything,
  open,
  say,
  sessionId,
  talk,
  text,
  usages,
} from "./support.ts";

test("a compaction starts at exactly 7,600 tokens of 8,000, and not at 7,599", async () => {
  for (const [last, expected] of [
    [599, 0],
    [600, 1],
  ] as const) {
    await using domain = await openTestDomain();
    await open(domain);
    for (let turn = 0; turn < 7; turn++) await say(domain, userText(text(1_000, turn)));
    const { contextUsage } = await domain.append({ sessionId, events: [userText(text(last))] });
    await domain.settled();
    expect(contextUsage).toMatchObject({
      windowTokens: 7_000 + last,
      ratio: (7_000 + last) / 8_000,
      compactionDue: expected === 1,
    });
    expect(await compactionsOf(domain)).toHaveLength(expected);
  }
});

test("reserved output takes its part of the budget before the trigger is looked at", async () => {
  await using domain = await openTestDomain();
  await open(domain, { reservedOutputTokens: 4_000, ...drop });
  await say(domain, userText(text(3_000)), assistantText(text(799)));
  expect(await compactionsOf(domain)).toHaveLength(0);
  await say(domain, userText("!"));
  expect(await compactionsOf(domain)).toMatchObject([{ tokensBefore: 3_800 }]);
});

test("a share that binary fractions cannot hold is reached all the same", async () => {
  await using domain = await openTestDomain();
  // 0.07 * 100 is 7.000000000000001.
  await open(domain, { tokenBudget: 100, compaction: { triggerRatio: 0.07 } });
  const { contextUsage } = await domain.append({ sessionId, events: [userText(text(7))] });
  expect(contextUsage?.compactionDue).toBe(true);
});

test("turns make a compaction due although the window is small", async () => {
  await using domain = await openTestDomain();
  await open(domain, { compaction: { triggerTurns: 4 } });
  await talk(domain, { turns: 3, tokens: 300 });
  expect(await compactionsOf(domain)).toHaveLength(0);
  await talk(domain, { turns: 1, tokens: 300, from: 3 });
  const [compaction] = await compactionsOf(domain);
  expect(compaction?.tokensAfter).toBeLessThan(compaction?.tokensBefore ?? 0);
  // It counts from the compaction on.
  await talk(domain, { turns: 3, tokens: 300, from: 4 });
  expect(await compactionsOf(domain)).toHaveLength(1);
  await talk(domain, { turns: 1, tokens: 300, from: 7 });
  expect(await compactionsOf(domain)).toHaveLength(2);
});

test("messages make a compaction due although the window is small", async () => {
  await using domain = await openTestDomain();
  await open(domain, { compaction: { ...drop.compaction, triggerMessages: 6 } });
  await talk(domain, { turns: 2, tokens: 10 });
  await say(domain, userText(text(10)));
  expect(await compactionsOf(domain)).toHaveLength(0);
  await say(domain, assistantText(text(10)));
  expect(await compactionsOf(domain)).toHaveLength(1);
});

test("a manual policy says that a compaction is due, and starts none", async () => {
  await using domain = await openTestDomain();
  await open(domain, { compaction: { manual: true } });
  await talk(domain, { turns: 10, tokens: 500 });
  const { contextUsage } = await domain.append({ sessionId, events: [userText("more")] });
  await domain.settled();
  expect(contextUsage?.compactionDue).toBe(true);
  expect(await compactionsOf(domain)).toHaveLength(0);
});

test("a compaction leaves 60 % of the room at most, and none follows until the trigger", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  let before = 0;
  for (let turn = 0; before < 3; turn++) {
    await say(domain, userText(text(97, turn)), assistantText(text(103, turn)));
    const { usage } = await usages(domain);
    const compactions = await compactionsOf(domain);
    if (compactions.length === before) {
      expect(usage).toBeLessThan(7_600);
      continue;
    }
    expect(compactions).toHaveLength(before + 1);
    const newest = compactions.at(-1);
    expect(newest?.tokensBefore).toBeGreaterThanOrEqual(7_600);
    expect(newest?.tokensAfter).toBeLessThanOrEqual(4_800);
    before++;
  }
});

test("session metrics tell how many compactions there were and what they saved", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await talk(domain, { turns: 100, tokens: 120 });
  const compactions = await compactionsOf(domain);
  expect(compactions.length).toBeGreaterThan(2);
  const before = compactions.reduce((sum, { tokensBefore }) => sum + tokensBefore, 0);
  const after = compactions.reduce((sum, { tokensAfter }) => sum + tokensAfter, 0);
  const { metrics } = await domain.get(sessionId);
  expect(Number(metrics?.compactions?.tokensBefore)).toBe(before);
  expect(Number(metrics?.compactions?.tokensAfter)).toBe(after);
  expect(metrics?.compactions).toMatchObject({
    count: compactions.length,
    ratio: 1 - after / before,
  });
});

test("prefix stable between triggers: windows begin with the one before until a compaction", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  let older = await domain.window({ sessionId });
  let count = 0;
  for (let turn = 0; turn < 120; turn++) {
    await say(domain, turn % 2 ? assistantText(text(150, turn)) : userText(text(150, turn)));
    const { length } = await compactionsOf(domain);
    const window = await domain.window({ sessionId, knownPrefixHash: older.prefixHash });
    const isSame = length === count;
    expect(window.prefixChanged).toBe(!isSame);
    expect(window.prefixChangeReason).toBe(isSame ? "" : "compaction");
    if (isSame) expect(bytesOf(window).slice(0, older.items.length)).toEqual(bytesOf(older));
    older = window;
    count = length;
  }
  expect(count).toBe(3);
});

test("a session that is compacted is never cut: its window shows all that is not covered", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await talk(domain, { turns: 100, tokens: 120 });
  const own = await domain.window({ sessionId });
  expect(bytesOf(own)).toEqual(bytesOf(await domain.window(everything)));
});
