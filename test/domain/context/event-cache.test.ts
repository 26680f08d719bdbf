import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema, type Event } from "@sessiond/contract";
import { expect, test } from "vitest";
import { EventCache } from "../../../src/domain/context/event-cache.ts";
import { DataLossError } from "../../../src/errors.ts";
import type { EventRange, Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { say, sessionId } from "./compaction/support.ts";

const megabyte = 1024 * 1024;

interface Sight extends AsyncDisposable {
  readonly domain: TestDomain;
  readonly cache: EventCache;
  /** What was read from the store. */
  readonly reads: EventRange[];
  /** Stops reads until it is resolved. */
  gate: Promise<void>;
}

/** A cache over the store of a domain, and what it reads there. */
async function openCache(maxBytes = 64 * megabyte): Promise<Sight> {
  const domain = await openTestDomain();
  const reads: EventRange[] = [];
  const sight = {
    domain,
    reads,
    gate: Promise.resolve(),
    [Symbol.asyncDispose]: () => domain[Symbol.asyncDispose](),
  };
  const store = new Proxy(domain.store, {
    get: (target, name) => {
      if (name === "readEvents") {
        return async (range: EventRange) => {
          reads.push(range);
          await sight.gate;
          return target.readEvents(range);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  }) satisfies Store;
  return Object.assign(sight, { cache: new EventCache({ store, maxBytes }) });
}

async function logOf({ domain }: Sight, id = sessionId) {
  const { uid } = await domain.get(id);
  return { uid, head: (await domain.log(id)).length };
}

function revisions(events: readonly Event[]): number[] {
  return events.map(({ revision }) => revision);
}

function upTo(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

async function fill({ domain }: Sight, count: number, id = sessionId): Promise<void> {
  const events = Array.from({ length: count }, (_, index) => userText(`${index}`));
  await domain.append({ sessionId: id, createIfMissing: true, events });
}

test("a log that was read follows its appends without reading again", async () => {
  await using sight = await openCache();
  await fill(sight, 20);
  const log = await logOf(sight);
  expect(revisions(await sight.cache.tail(log, 11))).toEqual(upTo(11, 21));
  sight.reads.length = 0;
  await say(sight.domain, userText("more"), userText("and more"));
  const longer = { ...log, head: 23 };
  expect(revisions(await sight.cache.tail(longer, 11))).toEqual(upTo(11, 23));
  expect(revisions(await sight.cache.range(longer, 12, 13))).toEqual([12, 13]);
  expect(sight.reads).toHaveLength(0);
  expect(revisions(await sight.cache.tail(longer, 5))).toEqual(upTo(5, 23));
  expect(sight.reads).toMatchObject([{ first: 5, last: 10 }]);
});

test("an older head is answered as it was, although more is in memory", async () => {
  await using sight = await openCache();
  await fill(sight, 20);
  const log = await logOf(sight);
  await sight.cache.tail(log, 1);
  expect(revisions(await sight.cache.tail({ ...log, head: 10 }, 5))).toEqual(upTo(5, 10));
});

test("a piece far from the newest events is read without what lies between", async () => {
  await using sight = await openCache();
  await fill(sight, 500);
  const log = await logOf(sight);
  await sight.cache.tail(log, 490);
  const { bytes } = sight.cache.stats;
  sight.reads.length = 0;
  expect(revisions(await sight.cache.tail({ ...log, head: 20 }, 11))).toEqual(upTo(11, 20));
  expect(sight.reads).toMatchObject([{ first: 11, last: 20 }]);
  expect(sight.cache.stats.bytes).toBe(bytes);
});

test("appends that come while a log is read are neither lost nor doubled", async () => {
  await using sight = await openCache();
  await fill(sight, 20);
  const log = await logOf(sight);
  const gate = Promise.withResolvers<void>();
  sight.gate = gate.promise;
  const read = sight.cache.tail(log, 5);
  await say(sight.domain, userText("meanwhile"));
  gate.resolve();
  expect(revisions(await read)).toEqual(upTo(5, 21));
  const longer = { ...log, head: 22 };
  expect(revisions(await sight.cache.tail(longer, 1))).toEqual(upTo(1, 22));
});

test("a deleted session leaves nothing in memory, not even what is being read", async () => {
  await using sight = await openCache();
  await fill(sight, 20);
  const log = await logOf(sight);
  await sight.cache.tail(log, 10);
  const gate = Promise.withResolvers<void>();
  sight.gate = gate.promise;
  const read = sight.cache.tail(log, 1);
  await sight.domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
  gate.resolve();
  await expect(read).rejects.toThrow(DataLossError);
  expect(sight.cache.stats).toMatchObject({ entries: 0, bytes: 0 });
});

test("Bounded: the least recently used logs leave, and reads under way leave nothing behind", async () => {
  await using sight = await openCache(256 * 1_024);
  const logs = [];
  for (let index = 0; index < 30; index++) {
    await fill(sight, 40, `s${index}`);
    logs.push(await logOf(sight, `s${index}`));
  }
  // All at once: each is pushed out while others are read.
  await Promise.all(logs.map((log) => sight.cache.tail(log, 1)));
  for (const log of logs) {
    expect(revisions(await sight.cache.tail(log, 1))).toEqual(upTo(1, 41));
    expect(sight.cache.stats.bytes).toBeLessThanOrEqual(256 * 1_024);
    expect(sight.cache.stats.bytes).toBeGreaterThan(0);
  }
});
