import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SessionState, UpdateSessionRequestSchema } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { DataLossError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { cancel, expiryOf, kindsOf, listed, sessionId } from "./support.ts";

/** Sessions `s0`, `s1` … that expire a second after their creation. */
async function createMany(domain: TestDomain, count: number): Promise<void> {
  const expiry = expiryOf({ ttl: 1_000 });
  const ids = Array.from({ length: count }, (_, index) => `s${index}`);
  await Promise.all(ids.map((id) => domain.create({ session: { sessionId: id, expiry } })));
}

/** Resolves when the next end of a session is stored. */
function sessionEnded(store: Store): Promise<void> {
  return new Promise((resolve) => {
    store.onCommit(({ change }) => {
      if (kindsOf(change.events).includes("sessionEnded")) resolve();
    });
  });
}

describe("the sweep", () => {
  test("writes ends with the time they were due, not that of the sweep", async () => {
    await using domain = await openTestDomain();
    await createMany(domain, 3);
    const dueMs = domain.now + 1_000;
    domain.now += 3_600_000;
    await domain.sweeper.sweep();
    for (const id of ["s0", "s1", "s2"]) {
      const end = (await domain.log(id)).at(-1);
      expect(end).toMatchObject({ createTime: timestampFromMs(dueMs) });
      expect(end?.payload.value).toMatchObject({ state: SessionState.EXPIRED });
    }
  });

  test("takes many sessions in batches, with a rest after each in which appends are served", async () => {
    await using domain = await openTestDomain();
    await createMany(domain, 100);
    await domain.create({ session: { sessionId } });
    domain.now += 1_000;
    const left: number[] = [];
    await domain.sweeper.sweep(async () => {
      const due = await domain.store.dueDeadlines({ nowMs: domain.now, limit: 1_000 });
      left.push(due.length);
      await domain.append({ sessionId, events: [userText("in between")] });
    });
    expect(left.length).toBeGreaterThan(10);
    const batches = [100, ...left].slice(0, -1).map((before, index) => before - (left[index] ?? 0));
    expect(Math.max(...batches)).toBeLessThanOrEqual(8);
    expect(left.at(-1)).toBe(0);
    expect(await listed(domain, SessionState.EXPIRED)).toHaveLength(100);
  });

  test("leaves a session that had events alone, and finds it again when it is idle", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, expiry: expiryOf({ idleTtl: 1_000 }) } });
    domain.now += 800;
    await domain.append({ sessionId, events: [userText("hello")] });
    const { etag } = await domain.get(sessionId);
    domain.now += 800;
    await domain.sweeper.sweep();
    expect(await domain.get(sessionId)).toMatchObject({ state: SessionState.ACTIVE, etag });
    expect(await domain.store.dueDeadlines({ nowMs: domain.now, limit: 9 })).toEqual([]);
    domain.now += 200;
    await domain.sweeper.sweep();
    expect(kindsOf(await domain.log(sessionId)).at(-1)).toBe("sessionEnded");
  });

  test("removes an ended session when its retention is over", async () => {
    await using domain = await openTestDomain();
    const expiry = expiryOf({ ttl: 1_000, retention: 5_000 });
    await domain.create({ session: { sessionId, expiry } });
    domain.now += 2_000;
    await domain.sweeper.sweep();
    const removeMs = domain.now + 4_000;
    expect((await domain.get(sessionId)).expireTime).toEqual(timestampFromMs(removeMs));
    domain.now = removeMs - 1;
    await domain.sweeper.sweep();
    expect((await domain.get(sessionId)).state).toBe(SessionState.EXPIRED);
    domain.now = removeMs;
    await domain.sweeper.sweep();
    await expect(domain.get(sessionId)).rejects.toThrow("no session");
  });

  test("ends and removes in one go what was due long ago", async () => {
    await using domain = await openTestDomain();
    const expiry = expiryOf({ ttl: 1_000, retention: 5_000 });
    await domain.create({ session: { sessionId, expiry } });
    domain.now += 3_600_000;
    await domain.sweeper.sweep();
    await expect(domain.get(sessionId)).rejects.toThrow("no session");
  });

  test("keeps an ended session without a retention, and goes by one that is given later", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await cancel(domain);
    domain.now += 10 * 365 * 86_400_000;
    await domain.sweeper.sweep();
    expect((await domain.get(sessionId)).state).toBe(SessionState.CANCELLED);
    const expiry = { retention: durationFromMs(1) };
    await domain.sessions.update(
      create(UpdateSessionRequestSchema, { session: { sessionId, expiry } }),
    );
    await domain.sweeper.sweep();
    await expect(domain.get(sessionId)).rejects.toThrow("no session");
  });

  test("goes on with the others when one session cannot be read", async () => {
    const store = await MemoryStore.open();
    const errors: unknown[] = [];
    await using domain = await openTestDomain({
      store,
      onSweepError: (error, name) => errors.push([error, name.sessionId]),
    });
    await createMany(domain, 80);
    const { commit } = store;
    const damage = new DataLossError({ record: "head" });
    store.commit = (change) =>
      change.key.sessionId === "s0" ? Promise.reject(damage) : commit.call(store, change);
    domain.now += 1_000;
    await domain.sweeper.sweep();
    expect(errors).toEqual([[damage, "s0"]]);
    const due = await store.dueDeadlines({ nowMs: domain.now, limit: 9 });
    expect(due.map(({ key }) => key.sessionId)).toEqual(["s0"]);
  });

  test("takes at once what becomes due while it looks for the next due time", async () => {
    const store = await MemoryStore.open();
    const domain = await openTestDomain({ store });
    const { dueDeadlines } = store;
    store.dueDeadlines = async (query) => {
      const due = await dueDeadlines.call(store, query);
      // The sweep found nothing; a millisecond later there is something.
      if (due.length === 0) domain.now += 1;
      return due;
    };
    await createMany(domain, 1);
    const ended = sessionEnded(store);
    domain.now += 999;
    domain.sweeper.start();
    await ended;
    await domain.close();
    await store.close();
  });

  test("goes by the due time of the others when one session cannot be swept", async () => {
    const store = await MemoryStore.open();
    const domain = await openTestDomain({ store });
    await createMany(domain, 1);
    const expiry = expiryOf({ ttl: 1_020 });
    await domain.create({ session: { sessionId, expiry } });
    const { commit, dueDeadlines } = store;
    store.commit = (change) =>
      change.key.sessionId === sessionId
        ? commit.call(store, change)
        : Promise.reject(new DataLossError({ record: "head" }));
    store.dueDeadlines = async (query) => {
      const due = await dueDeadlines.call(store, query);
      // Time goes on while the sweep rests, and nobody changes a session.
      if (query.nowMs > domain.now) domain.now += 20;
      return due;
    };
    const ended = sessionEnded(store);
    domain.now += 1_000;
    domain.sweeper.start();
    await ended;
    await domain.close();
    await store.close();
  });

  test("begins by itself when the next session is due, and ends with the domain", async () => {
    const domain = await openTestDomain();
    domain.sweeper.start();
    const ended = sessionEnded(domain.store);
    await createMany(domain, 1);
    // Due by now: whatever changes a session makes the sweeper look again.
    domain.now += 1_000;
    await domain.create({ session: { sessionId, expiry: expiryOf({ ttl: 1 }) } });
    await ended;
    await domain.close();
    await domain.store.close();
  });
});
