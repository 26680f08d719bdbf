import { expect, test } from "vitest";
import { RollupBook } from "../../src/store/rollup-book.ts";
import {
  addEncodedCounters,
  count,
  counterAt,
  newCounters,
} from "../../src/store/rollup-counters.ts";
import type { RollupChange, RollupSeries } from "../../src/store/store.ts";

const series: readonly RollupSeries[] = [
  { namespace: "n", dimension: "user", label: "", value: "ada" },
];

function events(hour: number, by = 1): RollupChange {
  const counters = newCounters();
  count(counters, "events", by);
  return { series, facts: [{ hour, counters, sessionsUs: [], stepsUs: [] }], active: [] };
}

/** A book over a store in which writes appear when they settle. */
function setUp(limit: number) {
  const stored = new Map<string, Uint8Array>();
  let reads = 0;
  const book = new RollupBook({
    limit,
    read: (key) => {
      reads += 1;
      return stored.get(key.toString("hex"));
    },
  });
  const write = () => {
    const changed = book.take();
    return () => {
      for (const { key, content = Buffer.alloc(0) } of changed?.writes ?? []) {
        stored.set(key.toString("hex"), content);
      }
      changed?.settle();
      return changed?.writes.length ?? 0;
    };
  };
  const total = () => {
    const counters = newCounters();
    for (const content of stored.values()) addEncodedCounters(counters, content);
    return counters[counterAt.events];
  };
  return { book, write, total, reads: () => reads };
}

test("Bounded: records that are on disk leave the memory, and are read again", () => {
  const { book, write, total, reads } = setUp(10);
  for (let round = 0; round < 3; round++) {
    for (let hour = 0; hour < 100; hour++) {
      book.add(events(hour));
      expect(write()()).toBe(1);
      expect(book.size).toBeLessThanOrEqual(10);
    }
  }
  expect(total()).toBe(300);
  expect(reads()).toBe(300);
});

test("records whose writes are under way stay, and what comes meanwhile is added to them", () => {
  const { book, write, total, reads } = setUp(0);
  book.add(events(1, 5));
  const first = write();
  book.add(events(1, 7));
  const second = write();
  book.add(events(2, 1));
  first();
  // The newest of hour 1 is not on disk yet.
  book.add(events(1, 2));
  second();
  write()();
  expect(total()).toBe(15);
  expect(reads()).toBe(2);
  expect(book.size).toBe(0);
});

test("a record is written once for all that was added to it since", () => {
  const { book, write, total } = setUp(10);
  for (let i = 0; i < 50; i++) book.add(events(i % 2));
  expect(write()()).toBe(2);
  expect(write()()).toBe(0);
  expect(total()).toBe(50);
});
