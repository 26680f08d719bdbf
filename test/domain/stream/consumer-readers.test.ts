import { afterEach, describe, expect, test, vi } from "vitest";

import {
  ConsumerInUseError,
  ConsumerNotFoundError,
  ConsumerTakenOverError,
} from "../../../src/errors.ts";

import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { openTestDomain } from "../../support/domain.ts";

import {
  appendTexts,
  commit,
  createConsumer,
  deleteConsumer,
  getConsumer,
  next,
  nextEvents,
  reading,
} from "./consumer-support.ts";

const secondMs = 1_000;

afterEach(() => {
  vi.useRealTimers();
});

describe("a reader", () => {
  test("has the name for itself, and the other is told who and since when", async () => {
    await using domain = await openTestDomain();
    await createConsumer(domain, { name: "audit" });
    const { watch } = await reading(domain, "audit", { reader: "worker-1" });
    const refused = domain.watch({ consumer: "audit" }).next();
    await expect(refused).rejects.toThrow(ConsumerInUseError);
    await expect(refused).rejects.toMatchObject({
      details: { consumer: "audit", reader: "worker-1", open_time: "2030-01-01T00:00:00.000Z" },
    });
    await watch.return(undefined);
    const { watch: second } = await reading(domain, "audit");
    await second.return(undefined);
  });

  test("that was taken over ends at once and cannot commit", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const old = await reading(domain, "audit");
    const { cursor } = await nextEvents(old.watch);
    const waiting = next(old.watch);
    const fresh = await reading(domain, "audit", { takeOver: true, reader: "worker-2" });
    await expect(waiting).rejects.toThrow(ConsumerTakenOverError);
    const late = commit(domain, { name: "audit", cursor, lease: old.lease });
    await expect(late).rejects.toThrow(ConsumerTakenOverError);
    await expect(late).rejects.toMatchObject({ details: { reader: "worker-2" } });
    expect((await getConsumer(domain, "audit")).lag).toBe(1);
    expect((await nextEvents(fresh.watch)).cursor).toBe(cursor);
    await expect(commit(domain, { name: "audit", cursor })).rejects.toThrow(ConsumerInUseError);
    await commit(domain, { name: "audit", cursor, lease: fresh.lease });
    await fresh.watch.return(undefined);
  });

  test("that is not heard of for 30 seconds loses the name; one that commits keeps it", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const busy = await reading(domain, "audit");
    const { cursor } = await nextEvents(busy.watch);
    domain.now += 29 * secondMs;
    await commit(domain, { name: "audit", cursor, lease: busy.lease });
    domain.now += 29 * secondMs;
    await expect(domain.watch({ consumer: "audit" }).next()).rejects.toThrow(ConsumerInUseError);
    domain.now += secondMs;
    const fresh = await reading(domain, "audit");
    await expect(next(busy.watch)).rejects.toThrow(ConsumerTakenOverError);
    await fresh.watch.return(undefined);
  });

  test("may commit after its watch has ended, as long as nobody else reads", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const { watch, lease } = await reading(domain, "audit");
    const { cursor } = await nextEvents(watch);
    await watch.return(undefined);
    expect(await commit(domain, { name: "audit", cursor, lease })).toMatchObject({ lag: 0 });
  });

  test("of a consumer that is deleted ends, and its lease is none of the one that comes after", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const { watch, lease } = await reading(domain, "audit");
    const { cursor } = await nextEvents(watch);
    const waiting = next(watch);
    await deleteConsumer(domain, "audit");
    await expect(waiting).rejects.toThrow(ConsumerNotFoundError);
    await expect(commit(domain, { name: "audit", cursor, lease })).rejects.toThrow(
      ConsumerNotFoundError,
    );
    await createConsumer(domain, { name: "audit" });
    await expect(commit(domain, { name: "audit", cursor, lease })).rejects.toThrow(
      ConsumerTakenOverError,
    );
  });

  test("reads under another name at the same time", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    const names = ["a", "b"];
    for (const name of names) await createConsumer(domain, { name });
    const readers = await Promise.all(names.map((name) => reading(domain, name)));
    const [one, two] = await Promise.all(readers.map(({ watch }) => nextEvents(watch)));
    expect(one).toEqual(two);
    for (const { watch } of readers) await watch.return(undefined);
  });

  test("that is slow, dead or away costs no memory: nothing is read for it, and nothing is kept", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    const names = Array.from({ length: 50 }, (_, number) => `c${number}`);
    const stalled = [];
    for (const name of names) {
      await createConsumer(domain, { name });
      stalled.push(await reading(domain, name));
    }
    expect(domain.consumers.stats()).toEqual({ inMemory: 50, read: 50 });
    const reads = vi.spyOn(store, "readNamespaceLog");
    for (let i = 0; i < 200; i++) await appendTexts(domain, [`${i}`]);
    expect(reads).not.toHaveBeenCalled();
    // Taken over, a reader that takes nothing is still there, and the name is free.
    const fresh = await reading(domain, "c0", { takeOver: true });
    expect((await nextEvents(fresh.watch)).seen[0]).toBe("demo:1");
    for (const { watch } of [...stalled, fresh]) await watch.return(undefined);
    expect(domain.consumers.stats()).toEqual({ inMemory: 0, read: 0 });
    expect(domain.watches.stats("namespace").open).toBe(0);
  });

  test("that has committed leaves memory when its place is written", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const { watch, lease } = await reading(domain, "audit");
    const { cursor } = await nextEvents(watch);
    await watch.return(undefined);
    await commit(domain, { name: "audit", cursor, lease });
    expect(domain.consumers.stats()).toEqual({ inMemory: 1, read: 0 });
    await vi.advanceTimersByTimeAsync(secondMs);
    expect(domain.consumers.stats()).toEqual({ inMemory: 0, read: 0 });
  });
});
