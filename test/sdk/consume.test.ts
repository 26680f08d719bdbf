import { create } from "@bufbuild/protobuf";
import {
  type ConsumedBatch,
  type ConsumeOptions,
  ConsumerGapError,
  ConsumerNotFoundError,
  DataLossError,
  InvalidFieldError,
  SessionDeletedError,
  Sessiond,
  SessionNotFoundError,
  UsageError,
} from "@sessiond/client";
import { ConsumerRecordSchema } from "@sessiond/contract/store";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DataLossError as Damage } from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { withoutSession } from "../store/support.ts";
import { openTestApp, type TestApp } from "../support/app.ts";
import { eventually } from "../support/eventually.ts";

let store: MemoryStore;
let app: TestApp;
let sessiond: Sessiond;

beforeEach(async () => {
  store = await MemoryStore.open();
  app = await openTestApp({ overrides: { store, progressIntervalMs: 20 } });
  sessiond = quick();
});

afterEach(async () => {
  vi.restoreAllMocks();
  sessiond.close();
  await app[Symbol.asyncDispose]();
});

const quick = () =>
  new Sessiond({ address: app.address, environment: { sleep: async () => {}, random: () => 0 } });

const say = (text: string) => ({ role: "user", text }) as const;

async function append(sessionId: string, ...texts: string[]): Promise<void> {
  const session = await sessiond.sessions.getOrCreate(sessionId);
  await session.append(texts.map(say));
}

/** Consumes in the background, and tells of the events it was given. */
function consuming(name: string, options: ConsumeOptions = {}, client = sessiond) {
  const stop = new AbortController();
  const seen: string[] = [];
  let told = () => {};
  const handler = ({ sessionId, events }: ConsumedBatch) => {
    seen.push(...events.map(({ revision }) => `${sessionId}:${revision}`));
    told();
  };
  const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
  const done = client.consume(name, { ...options, signal }, handler);
  return {
    seen,
    done,
    stop: () => {
      stop.abort();
      return done;
    },
    /** Resolves when it has been given so many events. */
    until: (count: number) =>
      new Promise<void>((resolve) => {
        told = () => seen.length >= count && resolve();
        told();
      }),
  };
}

/** Resolves when the consumer has committed everything. */
async function current(name: string): Promise<void> {
  await eventually(async () => expect((await sessiond.consumers.get(name)).lag).toBe(0));
}

describe("consume", () => {
  test("makes the consumer, and goes on where it stopped", async () => {
    await append("demo", "1", "2");
    const first = consuming("audit", { reader: "worker-1" });
    await first.until(3);
    await current("audit");
    expect((await sessiond.consumers.get("audit")).reader?.name).toBe("worker-1");
    await first.stop();
    await append("demo", "3");
    const second = consuming("audit");
    await second.until(1);
    expect(second.seen).toEqual(["demo:4"]);
    await second.stop();
  });

  test("gives an error of the handler to the caller, and the batch again to the next", async () => {
    await append("demo", "1");
    let batches = 0;
    const broken = sessiond.consume("audit", {}, async () => {
      batches += 1;
      throw new Error("disk full");
    });
    await expect(broken).rejects.toThrow("disk full");
    expect(batches).toBe(1);
    expect((await sessiond.consumers.get("audit")).lag).toBeGreaterThan(0);
    const next = consuming("audit");
    await next.until(2);
    expect(next.seen).toEqual(["demo:1", "demo:2"]);
    await next.stop();
  });

  test("commits what was dealt with before the handler failed", async () => {
    await append("a", "1");
    await append("b", "1");
    const broken = sessiond.consume("audit", {}, async ({ sessionId }) => {
      if (sessionId === "b") throw new Error("no b");
    });
    await expect(broken).rejects.toThrow("no b");
    const next = consuming("audit");
    await next.until(2);
    expect(next.seen).toEqual(["b:1", "b:2"]);
    await next.stop();
  });

  test("shows what the filter shows of one session, and commits what it hides", async () => {
    await append("other", "yes");
    await append("demo", "yes", "no", "yes");
    const filter = 'event.text == "yes"';
    const reader = consuming("audit", { sessionId: "demo", filter });
    await reader.until(2);
    expect(reader.seen).toEqual(["demo:2", "demo:4"]);
    await append("demo", "no");
    await current("audit");
    await reader.stop();
    expect(await sessiond.consumers.get("audit")).toMatchObject({ sessionId: "demo", filter });
  });

  test.each([
    ["now", { from: "now" }],
    ["a cursor", { from: { cursor: "" } }],
  ] as const)("begins at %s", async (_, options) => {
    await append("demo", "before");
    await using watch = await sessiond.watch({ from: "now" }).open();
    const from = options.from === "now" ? "now" : { cursor: watch.cursor };
    const waiting = new Sessiond(app.address);
    const reader = consuming("audit", { from }, waiting);
    await eventually(async () => {
      expect((await sessiond.consumers.get("audit")).reader).toBeDefined();
    });
    await append("demo", "after");
    await reader.until(1);
    expect(reader.seen).toEqual(["demo:3"]);
    await reader.stop();
    waiting.close();
  });

  test("survives that the server is started again, and misses nothing", async () => {
    await using durable = await openTestApp({ store: "lmdb" });
    const { port } = new URL(`http://${durable.address}`);
    expect(port).not.toBe("");
    await using client = new Sessiond({ address: durable.address });
    const session = await client.sessions.create({ sessionId: "demo" });
    const reader = consuming("audit", {}, client);
    await session.append(say("1"));
    await reader.until(2);
    await reader.stop();
    await durable.restart();
    await using again = new Sessiond({ address: durable.address });
    await (await again.sessions.get("demo")).append(say("2"));
    const next = consuming("audit", {}, again);
    await next.until(1);
    expect(next.seen).toEqual(["demo:3"]);
    await next.stop();
  });

  test("waits while another has the name, and goes on when that one is gone", async () => {
    await append("demo", "1");
    const first = consuming("audit", { reader: "first" });
    await first.until(2);
    await current("audit");
    const readers: string[] = [];
    const onStandby = (why: { reader: string }) => readers.push(why.reader);
    const second = consuming("audit", { onStandby });
    await eventually(() => expect(readers.length).toBeGreaterThan(2));
    expect(new Set(readers)).toEqual(new Set(["first"]));
    expect(second.seen).toEqual([]);
    await first.stop();
    await append("demo", "2");
    await second.until(1);
    expect(second.seen).toEqual(["demo:3"]);
    await second.stop();
  });

  test("takes over when it is asked to, and the other waits", async () => {
    await append("demo", "1");
    let waits = 0;
    const onStandby = () => {
      waits += 1;
    };
    const first = consuming("audit", { onStandby });
    await first.until(2);
    await current("audit");
    const second = consuming("audit", { takeOver: true, reader: "second" });
    await eventually(() => expect(waits).toBeGreaterThan(2));
    await append("demo", "2");
    await second.until(1);
    expect(first.seen).toEqual(["demo:1", "demo:2"]);
    await second.stop();
    await append("demo", "3");
    await first.until(3);
    expect(first.seen.at(-1)).toBe("demo:4");
    await first.stop();
  });

  test("keeps the name while the handler takes its time", async () => {
    await append("demo", "1");
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const begun = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const stop = new AbortController();
    const done = sessiond.consume("audit", { signal: stop.signal }, () => {
      begun.resolve();
      return release.promise;
    });
    await begun.promise;
    const before = (await sessiond.consumers.get("audit")).reader?.activeTime.getTime() ?? 0;
    await eventually(() => expect(Date.now()).toBeGreaterThan(before));
    await vi.advanceTimersByTimeAsync(10_000);
    vi.useRealTimers();
    await eventually(async () => {
      const { reader, lag } = await sessiond.consumers.get("audit");
      expect(reader?.activeTime.getTime()).toBeGreaterThan(before);
      expect(lag).toBeGreaterThan(0);
    });
    release.resolve();
    await current("audit");
    stop.abort();
    await done;
  });

  test("waits for the handler when it is told to stop, and commits that batch", async () => {
    await append("demo", "1");
    const begun = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const stop = new AbortController();
    const done = sessiond.consume("audit", { signal: stop.signal }, () => {
      begun.resolve();
      return release.promise;
    });
    await begun.promise;
    stop.abort();
    release.resolve();
    await done;
    expect((await sessiond.consumers.get("audit")).lag).toBe(0);
    await sessiond.consume("audit", { signal: AbortSignal.abort() }, () => {
      throw new Error("it has stopped");
    });
  });

  test("ends well when its client is closed", async () => {
    await append("demo", "1");
    const client = quick();
    const reader = consuming("audit", {}, client);
    await reader.until(2);
    client.close();
    await reader.done;
  });

  test("tells of deletions, and of what is missing", async () => {
    await append("goes", "1");
    const deleted: string[] = [];
    const reader = consuming("audit", {
      onSessionDeleted: ({ sessionId }) => deleted.push(sessionId),
    });
    await reader.until(2);
    await sessiond.sessions.delete("goes");
    await current("audit");
    expect(deleted).toEqual(["goes"]);
    await reader.stop();

    const name = { namespace: "default", name: "restored" };
    const place = BigInt(store.namespaceOffset("default"));
    const record = create(ConsumerRecordSchema, { uid: new Uint8Array(16), place });
    await store.commit({ ...withoutSession, consumers: [{ ...name, record }] });
    await expect(sessiond.consume("restored", {}, () => {})).rejects.toThrow(ConsumerGapError);
    const gaps: unknown[] = [];
    const knowing = consuming("restored", { onGap: ({ reason }) => gaps.push(reason) });
    await eventually(() => expect(gaps).toEqual(["storeRestored"]));
    await knowing.stop();
    // It was committed, though nothing came behind it.
    const again = consuming("restored");
    await append("comes", "1");
    await again.until(2);
    await again.stop();
  });

  test("ends with damage, unless it is told to go on", async () => {
    await append("demo", "1");
    const damage = new Damage({ record: "event 1" });
    const reads = vi.spyOn(store, "readEvents").mockRejectedValue(damage);
    await expect(sessiond.consume("audit", {}, () => {})).rejects.toThrow(DataLossError);
    const damaged: number[] = [];
    const reader = consuming("audit", {
      onEventsDamaged: ({ lastRevision }) => damaged.push(lastRevision),
    });
    await current("audit");
    expect(damaged).toEqual([1, 2]);
    reads.mockRestore();
    await append("demo", "2");
    await reader.until(1);
    expect(reader.seen).toEqual(["demo:3"]);
    await reader.stop();
  });

  test("ends with what cannot be waited out", async () => {
    const nothing = () => {};
    await expect(sessiond.consume("a b", {}, nothing)).rejects.toThrow(InvalidFieldError);
    await expect(sessiond.consume("a", { filter: "1 +" }, nothing)).rejects.toThrow(
      InvalidFieldError,
    );
    await expect(sessiond.consume("a", { sessionId: "nobody" }, nothing)).rejects.toThrow(
      SessionNotFoundError,
    );
    await append("demo", "1");
    const reader = consuming("audit", { sessionId: "demo" });
    await reader.until(2);
    await expect(sessiond.consume("audit", { filter: "true" }, nothing)).rejects.toThrow(
      UsageError,
    );
    await expect(sessiond.consume("audit", { sessionId: "other" }, nothing)).rejects.toThrow(
      UsageError,
    );
    await sessiond.sessions.delete("demo");
    await expect(reader.done).rejects.toThrow(SessionDeletedError);
    await sessiond.consumers.delete("audit");
    await sessiond.consumers.delete("audit", { allowMissing: true });
    await expect(sessiond.consumers.get("audit")).rejects.toThrow(ConsumerNotFoundError);
    const going = consuming("going");
    await append("demo", "1");
    await going.until(1);
    await sessiond.consumers.delete("going");
    await expect(going.done).rejects.toThrow(ConsumerNotFoundError);
  });
});

test("consumers are listed in pages, with their lag", async () => {
  await append("demo", "1");
  for (const name of ["b", "a"]) {
    const reader = consuming(name);
    await reader.until(2);
    await current(name);
    await reader.stop();
  }
  const { items, nextPageToken } = await sessiond.consumers.list({ pageSize: 1 });
  expect(items.map(({ name, lag }) => [name, lag])).toEqual([["a", 0]]);
  expect(nextPageToken).toBeDefined();
  const names: string[] = [];
  for await (const { name } of sessiond.consumers.list({ pageSize: 1 })) names.push(name);
  expect(names).toEqual(["a", "b"]);
});

test("a watch shows what its filter shows", async () => {
  await append("demo", "no", "yes");
  const filter = 'event.text == "yes"';
  await using watch = sessiond.watch({ filter });
  expect((await watch.next()).value).toMatchObject({ sessionId: "demo", event: { revision: 3 } });
});
