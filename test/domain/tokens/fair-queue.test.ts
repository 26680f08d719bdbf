import { expect, test } from "vitest";
import { FairQueue } from "../../../src/domain/tokens/fair-queue.ts";

/** Length of a long text, and of the steps it is done in. */
const longLength = 1_000_000;
const stepLength = 10_000;

/** A queue whose clock moves by a millisecond with every step; its results are ids. */
function queue(turnMs: number) {
  const clock = { nowMs: 0 };
  const jobs = new FairQueue<number>({ nowMs: () => clock.nowMs, turnMs });
  const add = (id: number, length: number) =>
    jobs.add({
      length,
      steps: (function* steps() {
        for (let done = 0; done < length; done += stepLength) {
          clock.nowMs += 1;
          yield;
        }
        return id;
      })(),
    });
  return { jobs, add };
}

function drain(jobs: FairQueue<number>): number[] {
  const order: number[] = [];
  while (!jobs.isEmpty) order.push(...jobs.turn());
  return order;
}

test("a short text behind a long one is ready first", () => {
  const { jobs, add } = queue(1);
  add(1, longLength);
  add(2, 5);
  expect(jobs.turn()).toEqual([2]);
  add(3, 10);
  expect(jobs.turn()).toEqual([3]);
  expect(drain(jobs)).toEqual([1]);
});

test("long texts take turns, so a longer one does not hold up a shorter one", () => {
  const { jobs, add } = queue(1);
  add(1, longLength);
  add(2, longLength / 10);
  expect(drain(jobs)).toEqual([2, 1]);
});

test("a long text gets on while short ones keep coming", () => {
  const { jobs, add } = queue(1);
  add(1, longLength);
  const ready: number[] = [];
  for (let id = 2; id < 1_000 && !ready.includes(1); id++) {
    add(id, 5);
    ready.push(...jobs.turn());
  }
  expect(ready).toContain(1);
});

test("a turn ends at its time limit and the next goes on in order", () => {
  const { jobs, add } = queue(3);
  for (let id = 1; id <= 5; id++) add(id, 5);
  expect(jobs.turn()).toEqual([1, 2, 3]);
  expect(jobs.turn()).toEqual([4, 5]);
  expect(jobs.isEmpty).toBe(true);
});
