import { readFile } from "node:fs/promises";
import { create, toJson } from "@bufbuild/protobuf";
import { type Event, EventSchema, ForkSessionRequestSchema } from "@sessiond/contract";
import { describe, expect, it, vi } from "vitest";
import { linesOf } from "../../src/sinks/lines.ts";
import { Redaction } from "../../src/sinks/redaction/redaction.ts";
import { DeliveryError, RefusedBatchError, SinkEndedError } from "../../src/sinks/sink.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { type TestDomain, userText } from "../support/domain.ts";
import { eventually } from "../support/eventually.ts";
import { CollectingSink } from "./support/collecting-sink.ts";
import { deleteSession } from "./support/delete.ts";
import { domain as openDomain, runSink } from "./support/lab.ts";

const append = (domain: TestDomain, sessionId: string, text = "hello", namespace = "default") =>
  domain.append({ namespace, sessionId, createIfMissing: true, events: [userText(text)] });

async function appendTimes(domain: TestDomain, sessionId: string, times: number) {
  for (let n = 0; n < times; n++) await append(domain, sessionId, `text ${n}`);
}

const upTo = (last: number, first = 1) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

it("a sink gets what is there and what comes, each session in order and once", async () => {
  const domain = await openDomain();
  await appendTimes(domain, "a", 3);
  const { collector, runner } = await runSink(domain);
  await collector.until(() => collector.revisions("a").length === 4);
  await appendTimes(domain, "b", 2);
  await appendTimes(domain, "a", 2);
  await collector.until(() => collector.received.length === 9);
  expect(collector.revisions("a")).toEqual(upTo(6));
  expect(collector.revisions("b")).toEqual(upTo(3));
  await eventually(() =>
    expect(runner.stats).toMatchObject({ events: 9, failures: 0, refused: 0, lag: 0 }),
  );
});

it.each([
  ["memory", true],
  ["the store", false],
])("what it gets from %s is what the log has", async (_where, hasSinks) => {
  const domain = await openDomain({ hasSinks });
  const { collector } = await runSink(domain);
  for (let n = 0; n < 5; n++) {
    await append(domain, "a", `a ${n}`);
    await append(domain, "b", "b".repeat(n * 10_000 + 1));
  }
  await domain.append({ sessionId: "a", events: Array.from({ length: 200 }, () => userText("x")) });
  await domain.forks.fork(
    create(ForkSessionRequestSchema, { sessionId: "a", newSessionId: "f", revision: 3 }),
  );
  await append(domain, "f");
  await deleteSession(domain, "b");
  await collector.until(() => collector.received.at(-1)?.kind === "session_deleted");
  for (const sessionId of ["a", "f"]) {
    const events = collector.received.flatMap((message) =>
      message.kind === "event" && message.sessionId === sessionId ? [message.event] : [],
    );
    const log = await domain.log(sessionId);
    const from = events[0]?.revision ?? 0;
    const json = (all: readonly Event[]) => all.map((event) => toJson(EventSchema, event));
    expect(json(events)).toEqual(json(log.slice(from - 1)));
  }
});

it("it goes on where it stopped, for each namespace", async () => {
  const store = await MemoryStore.open();
  const domain = await openDomain({ store });
  await append(domain, "s", "one", "x");
  const first = await runSink(domain);
  await first.collector.until(() => first.collector.received.length === 2);
  await first.runner.stop();
  expect(first.collector.isClosed).toBe(true);
  await append(domain, "s", "two", "x");
  await append(domain, "s", "three", "y");
  const { collector } = await runSink(domain);
  await collector.until(() => collector.received.length === 3);
  expect(collector.revisions("s", "x")).toEqual([3]);
  expect(collector.revisions("s", "y")).toEqual([1, 2]);
});

it("what fails is delivered again, the same batch, and is logged when it begins and when it ends", async () => {
  const domain = await openDomain();
  const collector = new CollectingSink();
  const tried: unknown[] = [];
  let failures = 3;
  collector.answer = async (batch) => {
    tried.push(batch);
    if (failures-- > 0) throw new DeliveryError("the receiver is away");
  };
  const { log, runner } = await runSink(domain, { collector });
  await append(domain, "s");
  await collector.until(() => collector.batches.length === 1);
  await eventually(() => expect(runner.stats).toMatchObject({ events: 2, isFailing: false }));
  expect(tried).toHaveLength(4);
  expect(new Set(tried).size).toBe(1);
  expect(runner.stats.failures).toBe(3);
  expect(log).toEqual([
    ["a sink fails; it is tried again and again", { sink: "test", reason: "the receiver is away" }],
    ["a sink works again", { sink: "test", failures: 3, lag: 1 }],
  ]);
});

it("during an outage nothing more is read, and the lag says what is missing", async () => {
  const domain = await openDomain();
  const collector = new CollectingSink();
  const back = Promise.withResolvers<void>();
  collector.answer = () => back.promise;
  const { runner } = await runSink(domain, { collector });
  await append(domain, "s");
  await eventually(() => expect(collector.tries).toBe(1));
  const read = vi.spyOn(domain.store, "readEvents");
  await appendTimes(domain, "s", 50);
  domain.now += 90_000;
  expect(runner.stats).toMatchObject({ lag: 51, ageSeconds: 90 });
  expect(read).not.toHaveBeenCalled();
  back.resolve();
  await collector.until(() => collector.received.length === 52);
  expect(collector.revisions("s")).toEqual(upTo(52));
});

it("a batch that is refused goes into the file of dead letters, and the next is delivered", async () => {
  const domain = await openDomain();
  const collector = new CollectingSink();
  collector.answer = async (batch) => {
    if (linesOf(batch).includes("poison")) throw new RefusedBatchError("no poison");
  };
  const { deadLetters, log, runner } = await runSink(domain, {
    collector,
    batch: { events: 1, bytes: 1 },
  });
  await append(domain, "s", "poison");
  await eventually(() => expect(runner.stats.refused).toBe(2));
  await append(domain, "s", "water");
  await collector.until(() => collector.revisions("s").includes(3));
  const letters = (await readFile(deadLetters.path, "utf8")).trimEnd().split("\n");
  expect(letters.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({
      time: "2030-01-01T00:00:00.000Z",
      reason: "no poison",
      namespace: "default",
      sessionId: "s",
      event: expect.objectContaining({ revision: 1 }),
    }),
    expect.objectContaining({
      event: expect.objectContaining({ revision: 2, message: { text: "poison" } }),
    }),
  ]);
  expect(runner.stats).toMatchObject({ refused: 2, events: 1, failures: 0 });
  expect(log).toEqual([
    [
      "a sink refused a batch, which is kept in a file",
      { sink: "test", reason: "no poison", path: deadLetters.path },
    ],
  ]);
});

it("a sink without a receiver ends alone, and goes on after the next start", async () => {
  const domain = await openDomain();
  const collector = new CollectingSink();
  collector.answer = async () => {
    throw new SinkEndedError("nobody reads");
  };
  const { log, runner } = await runSink(domain, { collector });
  await append(domain, "s");
  await eventually(() => expect(runner.stats.isFailing).toBe(true));
  await append(domain, "s");
  expect(log).toEqual([
    [
      "a sink has ended; what it lacks comes after the next start",
      { sink: "test", reason: "nobody reads" },
    ],
  ]);
  await runner.stop();
  const next = await runSink(domain);
  await next.collector.until(() => next.collector.received.length === 3);
});

it("it gets its namespaces and what its filter lets pass, and is not behind for the rest", async () => {
  const domain = await openDomain();
  const { collector, runner } = await runSink(domain, {
    namespaces: ["clinic"],
    filter: 'event.text.contains("keep")',
  });
  await append(domain, "s", "keep this", "other");
  await append(domain, "s", "drop this", "clinic");
  await append(domain, "s", "keep this", "clinic");
  await append(domain, "s", "drop this too", "clinic");
  await collector.until(() => collector.received.length === 1);
  expect(collector.revisions("s", "clinic")).toEqual([3]);
  await eventually(() => expect(runner.stats.lag).toBe(0));
});

it("what must not leave does not reach the sink, nor the dead letters", async () => {
  const domain = await openDomain();
  const collector = new CollectingSink();
  collector.answer = async () => {
    throw new RefusedBatchError("no");
  };
  const { deadLetters, runner } = await runSink(domain, {
    collector,
    redaction: new Redaction({ content: false, fields: ["author"], patterns: ["secret-\\d+"] }),
  });
  await domain.append({
    sessionId: "s",
    createIfMissing: true,
    events: [{ ...userText("secret text"), author: "secret author", kind: "secret-17" }],
  });
  await eventually(() => expect(runner.stats.refused).toBe(2));
  const letters = await readFile(deadLetters.path, "utf8");
  expect(letters).toContain('"kind":"[redacted]"');
  expect(letters).not.toContain("secret");
});

it("deletions are told", async () => {
  const domain = await openDomain();
  const { collector } = await runSink(domain);
  await append(domain, "s");
  await collector.until(() => collector.received.length === 2);
  await deleteSession(domain, "s");
  await collector.until(() => collector.received.length === 3);
  expect(collector.received.at(-1)).toMatchObject({
    kind: "session_deleted",
    sessionId: "s",
    firstRevision: 1,
    lastRevision: 2,
  });
});

it("deletions and damage are not told to a sink that is not to hear of them", async () => {
  const domain = await openDomain();
  const { collector, runner } = await runSink(domain, {
    filter: 'event.text == "fraud"',
    deletions: false,
  });
  await append(domain, "innocent");
  await deleteSession(domain, "innocent");
  await append(domain, "s", "fraud");
  await collector.until(() => collector.received.length > 0);
  await deleteSession(domain, "s");
  await eventually(() => expect(runner.stats.lag).toBe(0));
  expect(collector.received.map(({ kind }) => kind)).toEqual(["event"]);
  expect(collector.revisions("s")).toEqual([2]);
});

describe("events of a session that is deleted before the sink comes", () => {
  /** A session of four events in three commits that is gone, and one that is there. */
  async function domainWithGone(maintain: (domain: TestDomain) => Promise<unknown>) {
    const domain = await openDomain({ hasSinks: false });
    await appendTimes(domain, "gone", 3);
    await deleteSession(domain, "gone");
    await append(domain, "there");
    await maintain(domain);
    return domain;
  }

  it("are counted while the log has its commits", async () => {
    const domain = await domainWithGone(async () => {});
    const log = await domain.store.readNamespaceLog({
      namespace: "default",
      afterOffset: 0,
      limit: 9,
    });
    expect(log.map(({ offset }) => offset)).toEqual(upTo(5));
    const { collector, runner } = await runSink(domain);
    await collector.until(() => collector.revisions("there").length === 2);
    expect(collector.received.map(({ kind }) => kind)).toEqual([
      "session_deleted",
      "event",
      "event",
    ]);
    await eventually(() => expect(runner.stats).toMatchObject({ events: 2, missed: 4, lag: 0 }));
  });

  it("count one for each commit that is gone, too, also with a filter", async () => {
    const domain = await domainWithGone(async ({ store, now }) => {
      while (await store.maintain({ nowMs: now, limit: 500 }));
    });
    const { runner } = await runSink(domain, { filter: "false" });
    await eventually(() => expect(runner.stats).toMatchObject({ events: 0, missed: 3, lag: 0 }));
    await append(domain, "there");
    await eventually(() => expect(runner.stats.lag).toBe(0));
    expect(runner.stats.missed).toBe(3);
  });

  it("are not counted again when the batch is delivered again", async () => {
    const domain = await domainWithGone(async () => {});
    const collector = new CollectingSink();
    collector.answer = async () => {
      if (collector.tries < 3) throw new DeliveryError("away");
    };
    const { runner } = await runSink(domain, { collector });
    await eventually(() => expect(runner.stats).toMatchObject({ failures: 2, missed: 4, lag: 0 }));
  });

  it("come all the same while they are in memory", async () => {
    const domain = await openDomain();
    const collector = new CollectingSink();
    const { promise: isOpen, resolve: open } = Promise.withResolvers<void>();
    collector.answer = () => isOpen;
    const { runner } = await runSink(domain, { collector });
    await append(domain, "there");
    await eventually(() => expect(collector.tries).toBe(1));
    for (const sessionId of ["a", "b"]) {
      await append(domain, sessionId);
      await deleteSession(domain, sessionId);
    }
    const { store, now } = domain;
    await store.maintain({ nowMs: now, limit: 5 });
    open();
    await collector.until(() => collector.received.at(-1)?.kind === "session_deleted");
    await eventually(() => expect(runner.stats).toMatchObject({ events: 6, missed: 0, lag: 0 }));
  });
});

describe("stop", () => {
  it("delivers what is there, also when calls and watches were sent away already", async () => {
    const domain = await openDomain();
    const { collector, runner } = await runSink(domain);
    await append(domain, "s");
    await collector.until(() => collector.received.length === 2);
    domain.shutDown();
    await append(domain, "s");
    await runner.stop();
    expect(collector.revisions("s")).toEqual([1, 2, 3]);
  });

  it("does not wait for a sink that fails", async () => {
    const domain = await openDomain();
    const collector = new CollectingSink();
    collector.answer = async () => {
      throw new DeliveryError("away", { retryAfterMs: 60_000 });
    };
    const { runner } = await runSink(domain, { collector });
    await append(domain, "s");
    await eventually(() => expect(runner.stats.isFailing).toBe(true));
    await runner.stop();
    expect(collector.isClosed).toBe(true);
  });

  it("gives up a delivery that stalls", async () => {
    const domain = await openDomain();
    const collector = new CollectingSink();
    collector.answer = (_batch, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const { runner } = await runSink(domain, { collector, drainMs: 10 });
    await append(domain, "s");
    await eventually(() => expect(collector.tries).toBe(1));
    await runner.stop();
    expect(collector.isClosed).toBe(true);
    expect(collector.batches).toEqual([]);
  });
});

it("namespaces take turns: a busy one holds up no other", async () => {
  const domain = await openDomain();
  await append(domain, "s", "x", "busy");
  for (let n = 0; n < 40; n++) await append(domain, "s", "x", "busy");
  await append(domain, "s", "x", "quiet");
  const { collector } = await runSink(domain, { batch: { events: 1, bytes: 1 } });
  await collector.until(() => collector.received.length === 44);
  const order = collector.batches.map(({ namespace }) => namespace);
  expect(order.indexOf("quiet")).toBeLessThan(20);
  expect(collector.revisions("s", "busy")).toEqual(upTo(42));
});

it("thousands of quiet namespaces cost no open watch, and each is heard when it grows", async () => {
  const domain = await openDomain();
  const namespaces = Array.from({ length: 2_000 }, (_, n) => `n${n}`);
  for (const namespace of namespaces) await append(domain, "s", "x", namespace);
  const { collector, runner } = await runSink(domain, { lingerMs: 0 });
  const all = { events: 4_000, lag: 0 };
  await eventually(() => expect(runner.stats).toMatchObject(all), { timeout: 90_000 });
  expect(domain.watches.stats("namespace").open).toBe(0);
  await append(domain, "s", "y", "n777");
  await eventually(() => expect(runner.stats.events).toBe(4_001));
  expect(collector.revisions("s", "n777")).toEqual([1, 2, 3]);
}, 120_000);
