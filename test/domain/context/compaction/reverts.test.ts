import { expect, test } from "vitest";
import { CompactionNotFoundError } from "../../../../src/errors.ts";
import { openTestDomain, userText } from "../../../support/domain.ts";
import {
  assistantText,
  bytesOf,
  call,
  compact,
  compactionsOf,
  drop,
  everything,
  manual,
  open,
  protect,
  result,
  revert,
  say,
  sessionId,
  summaryIn,
  talk,
  text,
  usages,
} from "./support.ts";

test("three compactions are taken back one by one, each to the window before it", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  const windows: string[][] = [];
  const revisions: number[] = [];
  for (let round = 0; round < 3; round++) {
    await talk(domain, { turns: 10, tokens: 100, from: 10 * round });
    windows.push(bytesOf(await domain.window(everything)));
    const { revision } = await compact(domain, { targetRatio: 0.1 });
    revisions.push(revision);
  }
  // A message in between stands behind what comes back.
  await say(domain, userText("and then"));
  for (const window of windows.toReversed()) {
    const { contextUsage } = await revert(domain, revisions.pop());
    const now = bytesOf(await domain.window(everything));
    expect(now.slice(0, window.length)).toEqual(window);
    expect(contextUsage?.windowTokens).toBe((await usages(domain)).window);
  }
  await expect(revert(domain)).rejects.toThrow(CompactionNotFoundError);
  expect((await domain.get(sessionId)).metrics?.compactions).toMatchObject({ count: 0, ratio: 0 });
});

test("what a compaction spared, in front of its ranges too, is there when the next one is taken back", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  // An open call of an older turn is not covered, and needs no protection to stay.
  await say(domain, call("slow"), userText("go on"));
  await talk(domain, { turns: 10, tokens: 100 });
  await compact(domain, { targetRatio: 0.1 });
  await say(domain, result("slow", "late"));
  const before = bytesOf(await domain.window(everything));
  await talk(domain, { turns: 10, tokens: 100, from: 10 });
  await compact(domain, { targetRatio: 0.1 });
  await revert(domain);
  expect(bytesOf(await domain.window(everything)).slice(0, before.length)).toEqual(before);
});

test("a group whose late result is covered stays covered when the next compaction is taken back", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await say(domain, userText("first"), call("a"), userText(text(300)), assistantText(text(300)));
  // The last event that leaves belongs to an older group than the one in front of it.
  await say(domain, result("a"), userText("now"), assistantText(text(3_000)));
  const { compaction } = await compact(domain, { targetRatio: 0.45 });
  const before = bytesOf(await domain.window(everything));
  expect(compaction?.covered).toMatchObject([{ first: 3, last: 6 }]);
  await talk(domain, { turns: 5, tokens: 500 });
  await compact(domain, { targetRatio: 0.1 });
  await revert(domain);
  expect(bytesOf(await domain.window(everything)).slice(0, before.length)).toEqual(before);
});

test("after a revert no compaction starts until the window has grown by what one takes away", async () => {
  await using domain = await openTestDomain();
  await open(domain, drop);
  await say(domain, userText("begin"));
  await talk(domain, { turns: 19, tokens: 200 });
  expect(await compactionsOf(domain)).toHaveLength(1);
  const { contextUsage } = await revert(domain);
  expect(contextUsage?.compactionDue).toBe(false);
  const { windowTokens = 0 } = contextUsage ?? {};
  // 40 % of 8,000 tokens.
  for (let grown = 400; grown < 3_200; grown += 400) await say(domain, userText(text(400)));
  expect(await compactionsOf(domain)).toHaveLength(1);
  expect((await usages(domain)).usage).toBe(windowTokens + 2_800);
  await say(domain, userText(text(400)));
  expect(await compactionsOf(domain)).toHaveLength(2);
});

test("a compaction that is not in force cannot be taken back", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await expect(revert(domain)).rejects.toThrow("no compaction");
  await talk(domain, { turns: 20, tokens: 100 });
  const first = await compact(domain, { targetRatio: 0.2 });
  await talk(domain, { turns: 20, tokens: 100, from: 20 });
  const second = await compact(domain, { targetRatio: 0.2 });
  await expect(revert(domain, first.revision)).rejects.toThrow(
    `${second.revision} is; take that one back first`,
  );
  await expect(revert(domain, 1)).rejects.toThrow(CompactionNotFoundError);
  await expect(revert(domain, 999_999)).rejects.toThrow(CompactionNotFoundError);
});

test("what protection brought back is counted once when its compaction is taken back", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await talk(domain, { turns: 10, tokens: 200 });
  await compact(domain, { targetRatio: 0.1 });
  await protect(domain, [5]);
  await revert(domain);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
});

test("a compaction that only shortens keeps the summary of the one before", async () => {
  await using domain = await openTestDomain();
  const toolResults = { keepWhole: 0, headTokens: 10, tailTokens: 10 };
  await domain.create({
    session: { sessionId, contextPolicy: { compaction: { manual: true }, toolResults } },
  });
  await talk(domain, { turns: 20, tokens: 100 });
  await compact(domain, { targetRatio: 0.2 });
  const summary = summaryIn(await domain.window(everything));
  expect(summary).toBeDefined();
  await say(domain, call("big"), result("big", text(3_000)));
  const { compaction } = await compact(domain);
  expect(compaction).toMatchObject({ covered: (await compactionsOf(domain))[0]?.covered });
  expect(summaryIn(await domain.window(everything))).toBe(summary);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
  expect(usage).toBeLessThan(2_000);
});
