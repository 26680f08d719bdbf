import { create } from "@bufbuild/protobuf";
import { EventSchema, SessionSchema } from "@sessiond/contract";
import { SessionHeadSchema } from "@sessiond/contract/store";
import { expect, it, onTestFinished, vi } from "vitest";
import { RecentCommits } from "../../../src/domain/stream/recent-commits.ts";
import type { Committed } from "../../../src/store/store.ts";

const uid = "01a2226f-98e8-767d-b933-b2e7e512b778";

function commit(offset: number, more: Partial<Committed["change"]> = {}): Committed {
  const session = create(SessionSchema, { sessionId: "s", uid });
  return {
    offset,
    change: {
      key: { namespace: "n", sessionId: "s", uid },
      after: { session, head: create(SessionHeadSchema) },
      events: [create(EventSchema, { revision: offset, author: "x".repeat(500) })],
      ...more,
    },
  };
}

/** One that somebody reads. */
function open(limitBytes: number): RecentCommits {
  const recent = new RecentCommits({ limitBytes });
  offsets(recent, 0);
  return recent;
}

const offsets = (recent: RecentCommits, place: number, end = 100) =>
  recent.after({ namespace: "n", place, end, limit: 16 }).map(({ offset }) => offset);

it("gives what follows a place, up to the end and the limit", () => {
  const recent = open(1e6);
  for (let offset = 1; offset <= 20; offset++) recent.add(commit(offset));
  expect(offsets(recent, 17)).toEqual([18, 19, 20]);
  expect(offsets(recent, 0)).toHaveLength(16);
  expect(offsets(recent, 17, 18)).toEqual([18]);
  expect(offsets(recent, 20)).toEqual([]);
  expect(recent.after({ namespace: "other", place: 0, end: 9, limit: 9 })).toEqual([]);
  const [{ entry } = {}] = recent.after({ namespace: "n", place: 6, end: 9, limit: 1 });
  expect(entry).toMatchObject({ sessionId: "s", firstRevision: 7, lastRevision: 7 });
});

it("passes over nothing: behind a deletion, an import or a copy the store is asked", () => {
  const recent = open(1e6);
  recent.add(commit(1));
  recent.add({ offset: 2, change: { ...commit(2).change, events: [] } });
  recent.add(commit(3, { staged: [3] }));
  recent.add(commit(4, { copies: [create(EventSchema)] }));
  recent.add(commit(5));
  expect(offsets(recent, 0)).toEqual([1]);
  for (const place of [1, 2, 3]) expect(offsets(recent, place)).toEqual([]);
  expect(offsets(recent, 4)).toEqual([5]);
});

it("adds to what the store has what the store has no more", () => {
  const recent = open(1e6);
  for (const offset of [1, 2, 4]) recent.add(commit(offset));
  const [{ entry } = {}] = recent.after({ namespace: "n", place: 0, end: 1, limit: 1 });
  if (entry === undefined) throw new Error("no entry");
  const stored = [3, 4, 9].map((offset) => ({ offset, entry }));
  const completed = (place: number, end: number, namespace = "n") =>
    recent
      .completed(stored, { namespace, place, end })
      .map(({ offset, events }) => [offset, events?.[0]?.revision]);
  const found = [
    [2, 2],
    [3, undefined],
    [4, 4],
  ];
  expect(completed(1, 8)).toEqual(found);
  expect(completed(1, 3)).toEqual(found.slice(0, 2));
  for (const [place, namespace] of [
    [4, "n"],
    [1, "other"],
  ] as const) {
    expect(completed(place, 8, namespace)).toEqual([3, 4, 9].map((offset) => [offset, undefined]));
  }
});

it("forgets the oldest beyond its bound, however many come", () => {
  const recent = open(10_000);
  for (let offset = 1; offset <= 5_000; offset++) recent.add(commit(offset));
  const kept = offsets(recent, 4_994, 5_000);
  expect(kept).toEqual([4_995, 4_996, 4_997, 4_998, 4_999, 5_000]);
  expect(offsets(recent, 4_980, 5_000)).toEqual([]);
  // One that is larger than the bound is not kept, and nothing else is either.
  recent.add(commit(5_001, { events: [create(EventSchema, { author: "x".repeat(20_000) })] }));
  expect(offsets(recent, 5_000, 5_001)).toEqual([]);
});

it("keeps nothing while nobody reads", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const recent = new RecentCommits({ limitBytes: 1e6 });
  recent.add(commit(1));
  expect(offsets(recent, 0)).toEqual([]);
  recent.add(commit(2));
  expect(offsets(recent, 1)).toEqual([2]);
  vi.advanceTimersByTime(2_001);
  recent.add(commit(3));
  expect(offsets(recent, 1)).toEqual([]);
});
