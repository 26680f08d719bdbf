import { expect, test } from "vitest";
import { Indexes } from "../../../../src/domain/context/retrieve/indexes.ts";
import { limits } from "../../../../src/limits.ts";
import { logOf, readerOf } from "./events.ts";

const wholeMs = 60_000;

function texts(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `message number ${i + 1} of many`);
}

test("an index reaches from the newest event to the first", async () => {
  const { readEvents } = readerOf(logOf(texts(2_500)));
  await using indexes = new Indexes({ readEvents });
  const { retriever, partial } = await indexes.get({ uid: "a", head: 2_500 }, wholeMs);
  expect(partial).toBe(false);
  expect([retriever.first, retriever.last]).toEqual([1, 2_500]);
  const [best] = await retriever.search("number 17", { before: 2_500, limit: 1 });
  expect(best?.group).toBe(17);
});

test("the newest events are indexed first, and a call that cannot wait gets what is there", async () => {
  const { readEvents, ranges } = readerOf(logOf(texts(5_000)));
  await using indexes = new Indexes({ readEvents });
  const { retriever, partial } = await indexes.get({ uid: "a", head: 5_000 }, 0);
  expect(partial).toBe(true);
  expect(ranges[0]).toMatchObject({ last: 5_000, reverse: true });
  expect(retriever.last).toBe(5_000);
  expect((await indexes.get({ uid: "a", head: 5_000 }, wholeMs)).partial).toBe(false);
});

test("an index is brought up to date by reading what is new, once for all who wait", async () => {
  const { readEvents, ranges } = readerOf(logOf(texts(50)));
  await using indexes = new Indexes({ readEvents });
  await indexes.get({ uid: "a", head: 40 }, wholeMs);
  ranges.length = 0;
  const both = await Promise.all([
    indexes.get({ uid: "a", head: 50 }, wholeMs),
    indexes.get({ uid: "a", head: 50 }, wholeMs),
  ]);
  expect(both.map(({ retriever, partial }) => [retriever.last, partial])).toEqual([
    [50, false],
    [50, false],
  ]);
  expect(ranges.map(({ first, last }) => [first, last])).toEqual([[41, 50]]);
  await indexes.get({ uid: "a", head: 50 }, wholeMs);
  expect(ranges).toHaveLength(1);
});

test("an index that is far behind begins anew with the newest events", async () => {
  const head = 50 + limits.retrievalCatchUpEvents + 1;
  const { readEvents, ranges } = readerOf(logOf(texts(head)));
  await using indexes = new Indexes({ readEvents });
  await indexes.get({ uid: "a", head: 50 }, wholeMs);
  ranges.length = 0;
  const { partial } = await indexes.get({ uid: "a", head }, wholeMs);
  expect(ranges[0]).toMatchObject({ last: head, reverse: true });
  expect(partial).toBe(false);
});

test("Bounded: an index holds the newest events of a long log", async () => {
  const { readEvents } = readerOf(logOf(texts(20_000)));
  await using indexes = new Indexes({ readEvents, maxEvents: 6_000 });
  const old = await indexes.get({ uid: "a", head: 10_000 }, wholeMs);
  expect([old.retriever.first, old.retriever.last, old.partial]).toEqual([4_001, 10_000, true]);
  const { retriever } = await indexes.get({ uid: "a", head: 20_000 }, wholeMs);
  expect(retriever.last).toBe(20_000);
  expect(retriever.first).toBeGreaterThan(4_001);
  expect(retriever.first).toBeLessThanOrEqual(14_001);
});

test("Bounded: one log too large for the memory keeps its newest events", async () => {
  const { readEvents, ranges } = readerOf(logOf(texts(20_000)));
  await using indexes = new Indexes({ readEvents, maxBytes: 2_000_000 });
  const { retriever, partial } = await indexes.get({ uid: "a", head: 20_000 }, wholeMs);
  expect(partial).toBe(true);
  expect(retriever.last).toBe(20_000);
  expect(retriever.first).toBeGreaterThan(1);
  expect(indexes.stats.bytes).toBeLessThanOrEqual(2_000_000);
  ranges.length = 0;
  await indexes.get({ uid: "a", head: 20_000 }, wholeMs);
  expect(ranges).toEqual([]);
});

test("Bounded: indexes that were not asked for the longest are forgotten", async () => {
  const { readEvents, ranges } = readerOf(logOf(texts(200)));
  await using indexes = new Indexes({ readEvents, maxBytes: 150_000 });
  for (const uid of ["a", "b", "c", "d", "e", "f"]) {
    await indexes.get({ uid, head: 200 }, wholeMs);
    await indexes.get({ uid: "a", head: 200 }, wholeMs);
  }
  expect(indexes.stats.bytes).toBeLessThanOrEqual(150_000);
  expect(indexes.stats.entries).toBeLessThan(6);
  expect(ranges.filter(({ log }) => log.uid === "a")).toHaveLength(1);
});

test("a failure to read is the error of the call, and the next call tries again", async () => {
  const { readEvents } = readerOf(logOf(texts(10)));
  let failures = 1;
  await using indexes = new Indexes({
    readEvents: async (range) => {
      if (failures-- > 0) throw new Error("the disk is on fire");
      return readEvents(range);
    },
  });
  await expect(indexes.get({ uid: "a", head: 10 }, wholeMs)).rejects.toThrow("on fire");
  expect((await indexes.get({ uid: "a", head: 10 }, wholeMs)).partial).toBe(false);
});

test("a log that is gone ends the work on its index", async () => {
  await using indexes = new Indexes({ readEvents: async () => [] });
  const { partial } = await indexes.get({ uid: "a", head: 10 }, wholeMs);
  expect(partial).toBe(true);
});

test("a forgotten index is made again", async () => {
  const { readEvents, ranges } = readerOf(logOf(texts(10)));
  await using indexes = new Indexes({ readEvents });
  await indexes.get({ uid: "a", head: 10 }, wholeMs);
  indexes.drop("a");
  expect(indexes.stats.entries).toBe(0);
  await indexes.get({ uid: "a", head: 10 }, wholeMs);
  expect(ranges).toHaveLength(2);
});
