import fc from "fast-check";
import { expect, test } from "vitest";
import { Segment, segmentPassages } from "../../../../src/domain/context/retrieve/segment.ts";

/** Passages of a term and how often each has it, newest first. */
function postings(segment: Segment, term: string): [passage: number, frequency: number][] {
  const found: [number, number][] = [];
  segment.postings(term).each((passage, frequency) => found.push([passage, frequency]));
  return found;
}

const terms = fc.array(fc.constantFrom("a", "b", "c", "a-long-term-of-its-own"), {
  maxLength: 128,
});

test("postings say of each term where it occurs and how often", () => {
  fc.assert(
    fc.property(fc.array(terms, { maxLength: 40 }), (passages) => {
      const segment = new Segment();
      for (const [index, terms] of passages.entries()) {
        segment.add({ group: index + 1, revision: index + 1, terms });
      }
      for (const term of ["a", "b", "c", "a-long-term-of-its-own", "none"]) {
        const expected = passages
          .map((terms, index): [number, number] => [
            index,
            terms.filter((other) => other === term).length,
          ])
          .filter(([, frequency]) => frequency > 0)
          .reverse();
        expect(postings(segment, term)).toEqual(expected);
        expect(segment.postings(term).count).toBe(expected.length);
      }
    }),
  );
});

test("the last passage of a full segment is found like the first", () => {
  const segment = new Segment();
  for (let number = 1; !segment.isFull; number++) {
    segment.add({ group: number, revision: number, terms: ["all", `only-${number}`] });
  }
  expect(segment.postings("all").count).toBe(segmentPassages);
  expect(postings(segment, `only-${segmentPassages}`)).toEqual([[segmentPassages - 1, 1]]);
  expect(postings(segment, "only-1")).toEqual([[0, 1]]);
  expect([segment.first, segment.last]).toEqual([1, segmentPassages]);
});
