import { expect, test } from "vitest";
import { FairQueue } from "../../../src/domain/tokens/fair-queue.ts";

/** A queue whose clock moves by a millisecond for every text or slice it counts. */
function queue(turnMs: number) {
  let nowMs = 0;
  const countTokens = (text: string) => {
    nowMs += 1;
    return text.length;
  };
  return new FairQueue({ countTokens, nowMs: () => nowMs, turnMs });
}

const encoding = "o200k_base";
const long = "word ".repeat(200_000);

function job(id: number, text: string) {
  return { id, text, encoding } as const;
}

function drain(jobs: FairQueue): number[] {
  const order: number[] = [];
  while (!jobs.isEmpty) order.push(...jobs.turn().map((result) => result.id));
  return order;
}

test("a short text behind a long one is ready first", () => {
  const jobs = queue(1);
  jobs.add(job(1, long));
  jobs.add(job(2, "short"));
  expect(jobs.turn().map((result) => result.id)).toEqual([2]);
  jobs.add(job(3, "came later"));
  expect(jobs.turn().map((result) => result.id)).toEqual([3]);
  expect(drain(jobs)).toEqual([1]);
});

test("long texts take turns, so a longer one does not hold up a shorter one", () => {
  const jobs = queue(1);
  jobs.add(job(1, long));
  jobs.add(job(2, "word ".repeat(20_000)));
  expect(drain(jobs)).toEqual([2, 1]);
});

test("a long text gets on while short ones keep coming", () => {
  const jobs = queue(1);
  jobs.add(job(1, long));
  const ready: number[] = [];
  for (let id = 2; id < 1_000 && !ready.includes(1); id++) {
    jobs.add(job(id, "short"));
    ready.push(...jobs.turn().map((result) => result.id));
  }
  expect(ready).toContain(1);
});

test("a turn ends at its time limit and the next goes on in order", () => {
  const jobs = queue(3);
  for (let id = 1; id <= 5; id++) jobs.add(job(id, "short"));
  expect(jobs.turn().map((result) => result.id)).toEqual([1, 2, 3]);
  expect(jobs.turn().map((result) => result.id)).toEqual([4, 5]);
  expect(jobs.isEmpty).toBe(true);
});

test("the count of a text is the sum of its slices, marked when one is", () => {
  const jobs = queue(1_000);
  jobs.add(job(1, long));
  jobs.add(job(2, "a".repeat(2_000)));
  const results = jobs.turn().map(({ id, count, estimated }) => ({ id, count, estimated }));
  expect(results).toEqual([
    { id: 2, count: 2_000, estimated: true },
    { id: 1, count: long.length, estimated: false },
  ]);
});
