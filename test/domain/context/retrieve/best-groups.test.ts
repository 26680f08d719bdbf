import fc from "fast-check";
import { expect, test } from "vitest";
import { BestGroups } from "../../../../src/domain/context/retrieve/best-groups.ts";

test("the best groups are kept, however many there are", () => {
  const scores = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 300 });
  fc.assert(
    fc.property(scores, fc.integer({ min: 1, max: 20 }), (scores, limit) => {
      const best = new BestGroups(limit);
      for (const [group, score] of scores.entries()) best.add(group, score);
      const expected = [...scores.entries()]
        .sort(([groupA, a], [groupB, b]) => b - a || groupB - groupA)
        .slice(0, limit);
      expect(best.all()).toEqual(expected);
    }),
  );
});

test("a second passage counts less than the best, whichever comes first", () => {
  const [falling, rising] = [new BestGroups(1), new BestGroups(1)];
  for (const score of [4, 1]) falling.add(7, score);
  for (const score of [1, 4]) rising.add(7, score);
  expect(falling.all()).toEqual(rising.all());
  expect(falling.all()[0]?.[1]).toBeGreaterThan(4);
  expect(falling.all()[0]?.[1]).toBeLessThan(5);
});
