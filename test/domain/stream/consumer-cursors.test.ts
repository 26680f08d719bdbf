import { afterEach, describe, expect, test, vi } from "vitest";
import { cursorCodec, scopeOf } from "../../../src/cursor.ts";
import {
  ConsumerNotFoundError,
  CursorInvalidError,
  InvalidFieldError,
} from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";

import { openTestDomain } from "../../support/domain.ts";

import {
  appendTexts,
  commit,
  createConsumer,
  getConsumer,
  nextEvents,
  reading,
} from "./consumer-support.ts";

const secondMs = 1_000;

afterEach(() => {
  vi.useRealTimers();
});

describe("a cursor", () => {
  test("only moves forward, and an older one is answered with the newer", async () => {
    await using domain = await openTestDomain();
    await createConsumer(domain, { name: "audit" });
    const { watch, lease } = await reading(domain, "audit");
    await appendTexts(domain, ["a"]);
    const older = await nextEvents(watch);
    await appendTexts(domain, ["b"]);
    const newer = await nextEvents(watch);
    const { cursor } = newer;
    expect(await commit(domain, { name: "audit", cursor, lease })).toMatchObject({
      cursor,
      lag: 0,
    });
    const again = await commit(domain, { name: "audit", cursor: older.cursor, lease });
    expect(again).toMatchObject({ cursor, lag: 0 });
    expect((await getConsumer(domain, "audit")).cursor).toBe(cursor);
    await watch.return(undefined);
  });

  test("from elsewhere, damaged or ahead of the log is refused", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "all" });
    await createConsumer(domain, { name: "demo", sessionId: "demo" });
    const { storeId } = domain.store.capabilities;
    const ofNamespace = (namespace: string) =>
      cursorCodec("namespace", scopeOf(storeId, namespace));
    const good = ofNamespace("default").encode(1);
    for (const [name, cursor] of [
      ["all", "nonsense"],
      ["all", "\0".repeat(5)],
      ["all", "x".repeat(1_000)],
      ["all", ofNamespace("default").encode(2)],
      ["all", ofNamespace("default").encode(1, 2 ** 50)],
      ["all", ofNamespace("other").encode(1)],
      ["demo", good],
    ] as const) {
      await expect(commit(domain, { name, cursor })).rejects.toThrow(CursorInvalidError);
    }
    await expect(commit(domain, { name: "all" })).rejects.toThrow(InvalidFieldError);
    await expect(commit(domain, { name: "nobody", cursor: good })).rejects.toThrow(
      ConsumerNotFoundError,
    );
    expect(await commit(domain, { name: "all", cursor: good })).toMatchObject({ cursor: good });
  });

  test("is written after a second, with those of others, and when the server stops", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const store = await MemoryStore.open();
    const commits = vi.spyOn(store, "commit");
    await using domain = await openTestDomain({ store });
    const cursors = cursorCodec("namespace", scopeOf(store.capabilities.storeId, "default"));
    for (let i = 0; i < 10; i++) await appendTexts(domain, [`${i}`]);
    for (const name of ["a", "b"]) await createConsumer(domain, { name });
    commits.mockClear();
    for (let place = 1; place <= 9; place++) {
      for (const name of ["a", "b"]) await commit(domain, { name, cursor: cursors.encode(place) });
    }
    expect(commits).toHaveBeenCalledTimes(0);
    await vi.advanceTimersByTimeAsync(secondMs);
    expect(commits).toHaveBeenCalledTimes(1);
    expect(commits.mock.lastCall?.[0].consumers).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(10 * secondMs);
    expect(commits).toHaveBeenCalledTimes(1);
    await commit(domain, { name: "a", cursor: cursors.encode(10) });
    await domain.close();
    expect(commits).toHaveBeenCalledTimes(2);
    const record = await store.getConsumer({ namespace: "default", name: "a" });
    expect(record?.place).toBe(10n);
  });

  test("is written at once when it has moved far", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    const texts = Array.from({ length: 999 }, (_, i) => ({
      payload: { case: "message" as const, value: { text: `${i}` } },
    }));
    await domain.append({ sessionId: "demo", createIfMissing: true, events: texts });
    const { uid } = await domain.get("demo");
    await createConsumer(domain, { name: "audit", sessionId: "demo" });
    const cursors = cursorCodec("session", scopeOf(store.capabilities.storeId, uid));
    const commits = vi.spyOn(store, "commit");
    await commit(domain, { name: "audit", cursor: cursors.encode(999) });
    expect(commits).toHaveBeenCalledTimes(0);
    await commit(domain, { name: "audit", cursor: cursors.encode(1_000) });
    expect(commits).toHaveBeenCalledTimes(1);
  });

  test("that could not be written is written later", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const store = await MemoryStore.open();
    const errors: unknown[] = [];
    await using domain = await openTestDomain({
      store,
      onConsumerError: (error) => errors.push(error),
    });
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const cursors = cursorCodec("namespace", scopeOf(store.capabilities.storeId, "default"));
    const commits = vi.spyOn(store, "commit").mockRejectedValueOnce(new Error("no"));
    await commit(domain, { name: "audit", cursor: cursors.encode(1) });
    await vi.advanceTimersByTimeAsync(secondMs);
    expect(errors).toEqual([new Error("no")]);
    expect((await getConsumer(domain, "audit")).lag).toBe(0);
    await vi.advanceTimersByTimeAsync(secondMs);
    expect(commits).toHaveBeenCalledTimes(2);
    const record = await store.getConsumer({ namespace: "default", name: "audit" });
    expect(record?.place).toBe(1n);
  });
});
