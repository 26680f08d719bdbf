import { create } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  EndSessionRequestSchema,
  IfExists,
  type Session,
  SessionState,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import type { Quota } from "../../../src/domain/quotas/quota.ts";
import { Quotas } from "../../../src/domain/quotas/quotas.ts";
import { SessionCells } from "../../../src/domain/session-cells.ts";
import {
  NamespaceFullError,
  SessionNotFoundError,
  SessionQuotaExceededError,
} from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { cancel, expiryOf, listed, reopen } from "../lifecycle/support.ts";
import { patch, seen } from "../state/support.ts";

const minuteMs = 60_000;

function quota(fields: Partial<Quota>): Quota {
  return { whenFull: "refuse", minIdleMs: 15 * minuteMs, ...fields };
}

function open(fields: Partial<Quota>, store?: MemoryStore): Promise<TestDomain> {
  const quotaOf = (namespace: string) => (namespace === "default" ? quota(fields) : undefined);
  return openTestDomain({ quotaOf, ...(store && { store }) });
}

/** Creates sessions one after another, a second apart. */
async function createEach(domain: TestDomain, ...ids: string[]): Promise<Session[]> {
  const sessions: Session[] = [];
  for (const sessionId of ids) {
    domain.now += 1_000;
    sessions.push(await domain.create({ session: { sessionId } }));
  }
  return sessions;
}

function end(domain: TestDomain, sessionId: string) {
  return domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));
}

describe("a quota of sessions that refuses", () => {
  test("counts those that have not ended, and says what to do", async () => {
    await using domain = await open({ activeSessions: 2 });
    await createEach(domain, "a");
    await domain.create({ session: { sessionId: "b" }, deferredStart: true });
    const refused = createEach(domain, "c");
    await expect(refused).rejects.toThrow(SessionQuotaExceededError);
    await expect(refused).rejects.toThrow(/^maximum session limit reached: .* quota is 2; end or/);
    await end(domain, "a");
    await createEach(domain, "c");
  });

  test("holds for every way in which a session becomes active", async () => {
    await using domain = await open({ activeSessions: 1 });
    await createEach(domain, "a");
    await end(domain, "a");
    await createEach(domain, "b");
    const events = [userText("hello")];
    await expect(domain.append({ sessionId: "c", events, createIfMissing: true })).rejects.toThrow(
      SessionQuotaExceededError,
    );
    await expect(reopen(domain, { sessionId: "a" })).rejects.toThrow(SessionQuotaExceededError);
    const session = { sessionId: "a" };
    const renewed = domain.create({ session, ifExists: IfExists.RENEW });
    await expect(renewed).rejects.toThrow(SessionQuotaExceededError);
    // Nothing half done: the ended one still has its name.
    expect((await domain.get("a")).state).toBe(SessionState.COMPLETED);
    // What does not make one active is free.
    await domain.append({ sessionId: "b", events });
    await domain.create({ session: { sessionId: "b" }, ifExists: IfExists.RETURN });
    expect((await reopen(domain, { sessionId: "b" })).reopened).toBe(false);
  });

  test("is not passed by sessions created at once", async () => {
    await using domain = await open({ activeSessions: 3 });
    const ids = Array.from({ length: 10 }, (_, index) => `s${index}`);
    const answers = await Promise.allSettled(
      ids.map((sessionId) => domain.create({ session: { sessionId } })),
    );
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
    expect(await listed(domain, SessionState.ACTIVE)).toHaveLength(3);
  });

  test("does not count a session whose time has come, whether or not it was swept", async () => {
    await using domain = await open({ activeSessions: 1 });
    await domain.create({ session: { sessionId: "a", expiry: expiryOf({ ttl: 1_000 }) } });
    domain.now += 1_000;
    await createEach(domain, "b");
    await domain.sweeper.sweep();
    await expect(createEach(domain, "c")).rejects.toThrow(SessionQuotaExceededError);
  });

  test("gives the place of a creation that failed to the next", async () => {
    const store = await MemoryStore.open();
    await using domain = await open({ activeSessions: 1 }, store);
    const { commit } = store;
    store.commit = () => Promise.reject(new Error("no disk"));
    await expect(createEach(domain, "a")).rejects.toThrow("no disk");
    store.commit = commit;
    await createEach(domain, "b");
  });

  test("counts what the store had before the start", async () => {
    const store = await MemoryStore.open();
    const before = await open({}, store);
    await createEach(before, "a", "b", "c");
    await end(before, "b");
    await before.close();
    await using domain = await open({ activeSessions: 3 }, store);
    await createEach(domain, "d");
    await expect(createEach(domain, "e")).rejects.toThrow("has 3 sessions that have not ended");
  });

  test("Isolated: other namespaces have theirs", async () => {
    await using domain = await open({ activeSessions: 1 });
    await createEach(domain, "a");
    await domain.create({ session: { namespace: "other", sessionId: "b" } });
    await domain.create({ session: { namespace: "other", sessionId: "c" } });
  });
});

describe("a quota that expires the longest idle session", () => {
  const expiring = { activeSessions: 3, whenFull: "expire-longest-idle" } as const;

  test("takes the one without an event for the longest time", async () => {
    await using domain = await open(expiring);
    await createEach(domain, "a", "b", "c");
    await domain.append({ sessionId: "a", events: [userText("still here")] });
    domain.now += 15 * minuteMs;
    await createEach(domain, "d");
    expect(await listed(domain, SessionState.ACTIVE)).toEqual(["a", "c", "d"]);
    expect(await domain.get("b")).toMatchObject({
      state: SessionState.EXPIRED,
      end: { reason: "idle, and the namespace's quota was full" },
    });
  });

  test("refuses while none was idle for long enough", async () => {
    await using domain = await open(expiring);
    await createEach(domain, "a", "b", "c");
    domain.now += 15 * minuteMs - 3_001;
    await expect(createEach(domain, "d")).rejects.toThrow(SessionQuotaExceededError);
    domain.now += 1_000;
    await createEach(domain, "d");
    expect((await domain.get("a")).state).toBe(SessionState.EXPIRED);
  });

  test("expires as many as are created at once, and no more", async () => {
    await using domain = await open({ ...expiring, activeSessions: 8 });
    const ids = Array.from({ length: 8 }, (_, index) => `s${index}`);
    await createEach(domain, ...ids);
    domain.now += 60 * minuteMs;
    await Promise.all(
      ids.slice(0, 5).map((id) => domain.create({ session: { sessionId: `new-${id}` } })),
    );
    expect(await listed(domain, SessionState.ACTIVE)).toHaveLength(8);
    expect(await listed(domain, SessionState.EXPIRED)).toEqual(ids.slice(0, 5));
  });

  test("ends one session for calls that make the same one", async () => {
    await using domain = await open({ ...expiring, activeSessions: 8 });
    await createEach(domain, ...Array.from({ length: 8 }, (_, index) => `s${index}`));
    domain.now += 60 * minuteMs;
    const session = { sessionId: "new" };
    await Promise.all(
      Array.from({ length: 8 }, () => domain.create({ session, ifExists: IfExists.RETURN })),
    );
    expect(await listed(domain, SessionState.EXPIRED)).toEqual(["s0"]);
    const events = [userText("hi")];
    const append = { sessionId: "newer", events, createIfMissing: true };
    await Promise.all(Array.from({ length: 8 }, () => domain.append(append)));
    expect(await listed(domain, SessionState.EXPIRED)).toEqual(["s0", "s1"]);
  });

  test("makes room for an append that creates, and for a reopening", async () => {
    await using domain = await open({ ...expiring, activeSessions: 1 });
    await createEach(domain, "a");
    domain.now += 60 * minuteMs;
    await domain.append({ sessionId: "b", events: [userText("hi")], createIfMissing: true });
    expect((await domain.get("a")).state).toBe(SessionState.EXPIRED);
    domain.now += 60 * minuteMs;
    await reopen(domain, { sessionId: "a" });
    expect(await listed(domain, SessionState.ACTIVE)).toEqual(["a"]);
    await cancel(domain, { sessionId: "a" });
    await createEach(domain, "c");
    expect((await domain.get("b")).state).toBe(SessionState.EXPIRED);
  });
});

describe("a quota of bytes", () => {
  test("refuses what makes logs longer, and takes what ends or deletes", async () => {
    await using domain = await open({ storedBytes: 2_000 });
    await createEach(domain, "a", "b");
    const append = (sessionId: string) =>
      domain.append({ sessionId, events: [userText("x".repeat(500))] });
    await append("a");
    await append("b");
    await append("a");
    await expect(append("b")).rejects.toThrow(NamespaceFullError);
    await end(domain, "b");
    const { deleted } = await domain.sessions.delete(
      create(DeleteSessionRequestSchema, { sessionId: "a" }),
    );
    expect(deleted).toBe(true);
    await createEach(domain, "c");
    await append("c");
  });

  test("counts what changes of state add to a log, too", async () => {
    await using domain = await open({ storedBytes: 2_000 });
    await createEach(domain, "a");
    const values = { note: "x".repeat(900) };
    await patch(domain, values, { sessionId: "a" });
    await patch(domain, values, { sessionId: "a" });
    await expect(patch(domain, values, { sessionId: "a" })).rejects.toThrow(NamespaceFullError);
    expect(await seen(domain, "a")).toEqual(values);
  });

  test("counts a renewed session's log besides the one it leaves", async () => {
    let storedBytes = 1_000_000;
    await using domain = await openTestDomain({ quotaOf: () => quota({ storedBytes }) });
    await createEach(domain, "a");
    await domain.append({ sessionId: "a", events: [userText("x".repeat(800))] });
    await end(domain, "a");
    storedBytes = (await domain.get("a")).metrics?.storedBytes ?? 0;
    const renewed = domain.create({ session: { sessionId: "a" }, ifExists: IfExists.RENEW });
    await expect(renewed).rejects.toThrow(NamespaceFullError);
  });

  test("counts what the store had before the start", async () => {
    const store = await MemoryStore.open();
    const before = await open({}, store);
    await createEach(before, "a");
    await before.append({ sessionId: "a", events: [userText("x".repeat(1_000))] });
    await before.close();
    await using domain = await open({ storedBytes: 1_100 }, store);
    const events = [userText("y".repeat(200))];
    await expect(domain.append({ sessionId: "a", events })).rejects.toThrow(
      /quota is 1100; delete/,
    );
  });
});

test("Bounded: a namespace that has nothing leaves nothing in memory", async () => {
  const store = await MemoryStore.open();
  const cells = new SessionCells({ store, clock: () => 0, limit: 10, limitBytes: 1_000_000 });
  const quotas = new Quotas({ store, cells, clock: () => 0, quotaOf: () => quota({}) });
  for (let index = 0; index < 100; index++) {
    const name = { namespace: `n${index}`, sessionId: "nobody" };
    const nobody = new SessionNotFoundError(name);
    await expect(quotas.within(name, () => Promise.reject(nobody))).rejects.toThrow(nobody);
  }
  expect(quotas.size).toBe(0);
  await store.close();
});
