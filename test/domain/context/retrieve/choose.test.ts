import fc from "fast-check";
import { expect, test } from "vitest";
import { choose } from "../../../../src/domain/context/retrieve/choose.ts";
import type { Hit, Neighbours } from "../../../../src/domain/context/retrieve/retriever.ts";

/** Groups 1 to 100, of ten tokens each. */
function neighbours(group: number): Neighbours {
  return {
    ...(group > 1 && { before: { group: group - 1, tokens: 10 } }),
    ...(group < 100 && { after: { group: group + 1, tokens: 10 } }),
  };
}

const hit = (group: number, score: number): Hit => ({ group, score, tokens: 10 });

function groups(hits: readonly Hit[], room: number, before = 101): number[] {
  return choose({ hits, room, before, neighbours }).map(({ group }) => group);
}

test("the best hit comes first, and then its neighbours", () => {
  expect(groups([hit(50, 1)], 10)).toEqual([50]);
  expect(groups([hit(50, 1)], 30).toSorted((a, b) => a - b)).toEqual([49, 50, 51]);
});

test("a neighbour of a strong hit comes before a weak one", () => {
  expect(groups([hit(50, 10), hit(20, 1)], 30).toSorted((a, b) => a - b)).toEqual([49, 50, 51]);
});

test("a group between hits counts for each of them", () => {
  expect(groups([hit(49, 1), hit(51, 1), hit(10, 0.7)], 30)).toContain(50);
});

test("says whether a group fits the query or stands near one that does", () => {
  const chosen = choose({ hits: [hit(50, 1)], room: 30, before: 101, neighbours });
  expect(chosen.map(({ reason }) => reason)).toEqual(["query", "neighbour", "neighbour"]);
});

test("of equals the newest comes first", () => {
  expect(groups([hit(10, 1), hit(90, 1)], 10)).toEqual([90]);
});

test("a group that is too large makes way for smaller ones", () => {
  const large = { group: 50, score: 9, tokens: 500 };
  expect(groups([large, hit(10, 9)], 40)).toContain(10);
  expect(groups([large, hit(10, 9)], 40)).not.toContain(50);
});

test("what is there already takes no room", () => {
  const chosen = choose({
    hits: [hit(50, 2), hit(10, 1)],
    room: 10,
    before: 101,
    neighbours,
    tokensOf: ({ group, tokens }) => (group === 10 ? tokens : 0),
  });
  expect(chosen.map(({ group }) => group)).toContain(10);
});

test("nothing is chosen without hits", () => {
  expect(groups([], 1_000)).toEqual([]);
});

const hits = fc.uniqueArray(
  fc.record({
    group: fc.integer({ min: 1, max: 100 }),
    score: fc.double({ min: 0.01, max: 50, noNaN: true }),
    tokens: fc.integer({ min: 0, max: 200 }),
  }),
  { selector: ({ group }) => group },
);

test("the choice fits the room, begins before the tail, and names no group twice", () => {
  fc.assert(
    fc.property(hits, fc.nat(1_000), fc.integer({ min: 1, max: 101 }), (hits, room, before) => {
      const chosen = choose({ hits, room, before, neighbours });
      const total = chosen.reduce((sum, { tokens }) => sum + tokens, 0);
      expect(total).toBeLessThanOrEqual(room);
      expect(chosen.every(({ group }) => group < before)).toBe(true);
      expect(new Set(chosen.map(({ group }) => group)).size).toBe(chosen.length);
    }),
  );
});

test("the order of hits does not matter", () => {
  fc.assert(
    fc.property(hits, fc.nat(1_000), (hits, room) => {
      expect(groups(hits.toReversed(), room)).toEqual(groups(hits, room));
    }),
  );
});
