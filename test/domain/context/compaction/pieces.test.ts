import { expect, test } from "vitest";
import { limits } from "../../../../src/limits.ts";
import { openTestDomain, type TestDomain, userText } from "../../../support/domain.ts";
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
  result,
  revert,
  revisionsIn,
  sessionId,
  usages,
  usePolicy,
} from "./support.ts";

/** Appends so many events in batches, each made from its number. */
async function fill(
  domain: TestDomain,
  count: number,
  make: (index: number) => ReturnType<typeof assistantText>,
): Promise<void> {
  for (let from = 0; from < count; from += limits.eventsPerAppend) {
    const length = Math.min(limits.eventsPerAppend, count - from);
    const events = Array.from({ length }, (_, index) => make(from + index));
    await domain.append({ sessionId, events });
  }
}

function message(index: number) {
  return index % 2 === 0 ? userText(`question ${index}`) : assistantText(`answer ${index}`);
}

test("a log of 20,000 events that was never compacted is compacted in pieces, by one call", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await fill(domain, 20_000, message);
  const { usage: before } = await usages(domain);
  const answer = await compact(domain);
  const compactions = await compactionsOf(domain);
  expect(compactions).toHaveLength(5);
  expect(compactions[0]?.tokensBefore).toBe(before);
  for (const [index, { tokensBefore }] of compactions.entries()) {
    if (index > 0) expect(tokensBefore).toBe(compactions[index - 1]?.tokensAfter);
  }
  expect(answer.compaction).toEqual(compactions.at(-1));
  expect(answer.contextUsage?.windowTokens).toBeLessThanOrEqual(4_800);
  // What can stay below the target does.
  expect(answer.contextUsage?.windowTokens).toBeGreaterThan(2_400);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
});

test("a restart half-way through the pieces shows the same window, and goes on", async () => {
  await using domain = await openTestDomain();
  await open(domain, { compaction: { ...drop.compaction, manual: true } });
  await fill(domain, 10_000, message);
  await compact(domain);
  const chain = await compactionsOf(domain);
  expect(chain.length).toBeGreaterThan(2);
  await revert(domain);
  const before = bytesOf(await domain.window(everything));
  await using again = await openTestDomain({ store: domain.store });
  expect(bytesOf(await again.window(everything))).toEqual(before);
  await compact(again);
  expect((await compactionsOf(again)).at(-1)).toEqual(chain.at(-1));
  const { usage, window } = await usages(again);
  expect(usage).toBe(window);
});

test("a compaction that starts by itself goes on until none is due", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await fill(domain, 9_000, message);
  await usePolicy(domain, { compaction: {} });
  await domain.append({ sessionId, events: [userText("now")] });
  await domain.settled();
  expect((await compactionsOf(domain)).length).toBeGreaterThan(1);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
  expect(usage).toBeLessThan(7_600);
});

test("a long log of small events keeps what the target has room for", async () => {
  await using domain = await openTestDomain();
  await open(domain, { ...manual, tokenBudget: 80_000 });
  await fill(domain, limits.compactionEvents + 500, message);
  const { usage: before } = await usages(domain);
  const { compaction } = await compact(domain, { targetRatio: 0.6 });
  expect(before).toBeGreaterThan(48_000);
  expect(compaction?.tokensAfter).toBeGreaterThan(24_000);
  expect(compaction?.tokensAfter).toBeLessThanOrEqual(48_000);
});

test("a log that begins with more records than one compaction takes is compacted", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await fill(domain, limits.compactionEvents + 500, () => ({
    payload: { case: "error", value: { message: "noise" } },
  }));
  await fill(domain, 100, (index) => userText(`${index}`.padEnd(100, ".")));
  const { compaction } = await compact(domain);
  expect(compaction?.tokensAfter).toBeLessThanOrEqual(4_800);
});

test("a group whose late result stands behind a piece leaves with all of it, or stays", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  const late = limits.compactionEvents + 50;
  await fill(domain, 10_000, (index) => {
    if (index === 3_900) return call("slow");
    return index === late ? result("slow", "at last") : message(index);
  });
  await compact(domain);
  const revisions = new Set(revisionsIn(await domain.window(everything)));
  for (const { covered } of await compactionsOf(domain)) {
    const holds = (revision: number) =>
      covered.some(({ first, last }) => first <= revision && revision <= last);
    // Revision 1 is the session's beginning.
    expect(holds(3_902)).toBe(holds(late + 2));
  }
  expect(revisions.has(late + 2)).toBe(false);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
});
