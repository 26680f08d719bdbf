import { type PoolOptions, Sessiond, type SessionPool, UsageError } from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";

const minuteMs = 60_000;
const id = "user-42";

let server: InMemoryServer;
let sessiond: Sessiond;
/** Somebody else, who works with the same sessions. */
let other: Sessiond;
let pool: SessionPool;
/** What the clients and the server take for the time. */
let nowMs: number;
/** Calls of the pool's client, by name. */
let calls: string[];
let namespaces = 0;

beforeAll(async () => {
  nowMs = Date.parse("2026-11-20T12:00:00Z");
  server = await startInMemory({ clock: () => nowMs });
});

beforeEach(() => {
  calls = [];
  const namespace = `test-${++namespaces}`;
  const environment = { now: () => nowMs };
  sessiond = new Sessiond({
    address: server.address,
    namespace,
    environment,
    interceptors: [
      (next) => (req) => {
        calls.push(req.method.name);
        return next(req);
      },
    ],
  });
  other = new Sessiond({ address: server.address, namespace, environment });
  pool = open();
});

afterEach(() => {
  sessiond.close();
  other.close();
});

afterAll(() => server.stop());

function open(options: PoolOptions = {}): SessionPool {
  const fields = { agentId: "travel" };
  return sessiond.sessions.pool({ maxIdleMs: 30 * minuteMs, fields, ...options });
}

const hello = { role: "user", text: "Hello" } as const;

describe("a pool", () => {
  test("gives a fresh session, then the handle it holds, without a call", async () => {
    const session = await pool.get(id, { userId: "42" });
    expect(session).toMatchObject({ sessionId: id, created: true, hasEnded: false });
    expect(session.message).toMatchObject({ agentId: "travel", userId: "42" });
    expect(await pool.get(id)).toBe(session);
    expect(calls).toEqual(["CreateSession"]);
  });

  test("gives a session that exists as it is", async () => {
    const theirs = await other.sessions.create({ sessionId: id, agentId: "support" });
    const session = await pool.get(id);
    expect(session).toMatchObject({ created: false, uid: theirs.uid });
    expect(session.message.agentId).toBe("support");
  });

  test("makes one call for all who ask for one id at one time", async () => {
    const sessions = await Promise.all(Array.from({ length: 50 }, () => pool.get(id)));
    expect(new Set(sessions).size).toBe(1);
    expect(calls).toEqual(["CreateSession"]);
    nowMs += minuteMs;
    await Promise.all(Array.from({ length: 50 }, () => pool.get(id)));
    expect(calls).toEqual(["CreateSession", "GetSession"]);
  });

  test("opens no watch", async () => {
    await pool.get(id);
    nowMs += minuteMs;
    await pool.get(id);
    expect(calls).not.toContain("WatchEvents");
  });

  test("renews a session whose end a refused append has told it", async () => {
    const session = await pool.get(id);
    await (await other.sessions.get(id)).cancel({ reason: "user left" });
    expect(await pool.get(id)).toBe(session);
    await expect(session.append(hello)).rejects.toMatchObject({ reason: "SESSION_ENDED" });
    expect(session).toMatchObject({ hasEnded: true, state: "cancelled" });
    const fresh = await pool.get(id);
    expect(fresh).toMatchObject({ created: true, hasEnded: false });
    expect(fresh.uid).not.toBe(session.uid);
    expect((await other.sessions.get(`${id}~1`)).uid).toBe(session.uid);
  });

  test("renews a session that reached a limit with an append of its own", async () => {
    const session = await pool.get(id, { limits: { maxTokens: 1 } });
    await session.append(hello);
    expect(session).toMatchObject({ hasEnded: true, state: "limit_reached" });
    expect((await pool.get(id)).uid).not.toBe(session.uid);
  });

  test("finds out by itself that a session ended, or is gone, after the time it trusts", async () => {
    const ended = await pool.get(id);
    await (await other.sessions.get(id)).end();
    nowMs += 5_000;
    const fresh = await pool.get(id);
    expect(fresh.uid).not.toBe(ended.uid);
    await other.sessions.delete(id);
    nowMs += 5_000;
    expect(await pool.get(id)).toMatchObject({ created: true });
    expect(fresh.hasEnded).toBe(true);
  });

  test("asks every time when it trusts nothing", async () => {
    pool = open({ trustMs: 0 });
    const session = await pool.get(id);
    expect(await pool.get(id)).toBe(session);
    expect(calls).toEqual(["CreateSession", "GetSession"]);
  });

  test("renews a session of its own that was idle for too long, which has expired by then", async () => {
    const session = await pool.get(id);
    nowMs += 29 * minuteMs;
    await session.append(hello);
    nowMs += 29 * minuteMs;
    expect(await pool.get(id)).toBe(session);
    nowMs += minuteMs;
    expect((await pool.get(id)).uid).not.toBe(session.uid);
    expect((await other.sessions.get(`${id}~1`)).state).toBe("expired");
    expect(calls).not.toContain("EndSession");
  });

  test("ends an idle session of somebody else as expired, held or not", async () => {
    await other.sessions.create({ sessionId: id });
    const session = await pool.get(id);
    nowMs += 31 * minuteMs;
    const fresh = await pool.get(id);
    expect(fresh).toMatchObject({ created: true });
    const kept = await other.sessions.get(`${id}~1`);
    expect(kept).toMatchObject({ uid: session.uid, state: "expired" });
    expect(kept.message.end?.reason).toBe("idle for more than 1800000 ms");
    await other.sessions.create({ sessionId: "user-43" });
    nowMs += 31 * minuteMs;
    expect(await pool.get("user-43")).toMatchObject({ created: true });
  });

  test("keeps an idle session that somebody else works with", async () => {
    const session = await pool.get(id);
    for (let minutes = 0; minutes < 60; minutes += 20) {
      nowMs += 20 * minuteMs;
      await (await other.sessions.get(id)).append(hello);
    }
    expect(await pool.get(id)).toBe(session);
  });

  test("lets sessions idle as long as they like when it is told nothing", async () => {
    pool = open({ maxIdleMs: undefined });
    const session = await pool.get(id);
    nowMs += 365 * 24 * 60 * minuteMs;
    expect(await pool.get(id)).toBe(session);
    expect(session.message.expiry).toBeUndefined();
  });

  test("adds its idle time to an expiry that says something else", async () => {
    const session = await pool.get(id, { expiry: { retentionMs: 1_000 } });
    expect(session.message.expiry).toMatchObject({ retention: { seconds: 1n } });
    expect(session.message.expiry?.idleTtl?.seconds).toBe(1_800n);
  });

  test("Bounded: the handle that was asked for the longest time ago leaves", async () => {
    pool = open({ limit: 2 });
    const a = await pool.get("a");
    const b = await pool.get("b");
    await pool.get("a");
    await pool.get("c");
    expect(pool.size).toBe(2);
    expect(await pool.get("a")).toBe(a);
    const again = await pool.get("b");
    expect(again).not.toBe(b);
    expect(again.uid).toBe(b.uid);
  });

  test("forgets a failure: the next call tries again", async () => {
    const tooLong = "x".repeat(201);
    await expect(pool.get(tooLong)).rejects.toMatchObject({ reason: "INVALID_FIELD" });
    expect(pool.size).toBe(0);
    expect(await pool.get(id)).toMatchObject({ created: true });
  });

  test("lets one caller give up while another waits on", async () => {
    const stop = new AbortController();
    const given = pool.get(id, {}, { signal: stop.signal });
    const waited = pool.get(id);
    stop.abort(new Error("the request is gone"));
    await expect(given).rejects.toThrow("the request is gone");
    expect(await waited).toMatchObject({ sessionId: id });
  });

  test("releases a handle with its watch, and the session goes on", async () => {
    const session = await pool.get(id);
    const { signal } = session;
    expect([pool.release(id), pool.release(id), pool.size]).toEqual([true, false, 0]);
    expect((await pool.get(id)).uid).toBe(session.uid);
    expect(session.signal).not.toBe(signal);
  });

  test("deletes a session, also one it does not hold or is just opening", async () => {
    const opening = pool.get(id);
    expect(await pool.delete(id)).toBe(true);
    expect(pool.size).toBe(0);
    expect((await opening).sessionId).toBe(id);
    expect(await pool.delete(id, { allowMissing: true })).toBe(false);
    expect(await pool.get(id)).toMatchObject({ created: true });
  });

  test("that is closed holds nothing and gives nothing", async () => {
    const coming = pool.get("a");
    await pool.get(id);
    pool.close();
    await coming;
    expect(pool.size).toBe(0);
    await expect(pool.get(id)).rejects.toThrow(UsageError);
    expect((await other.sessions.get(id)).state).toBe("active");
  });

  test("is refused with options that make no sense", () => {
    for (const options of [{ limit: 0 }, { maxIdleMs: 0 }, { trustMs: -1 }]) {
      expect(() => sessiond.sessions.pool(options)).toThrow(UsageError);
    }
  });
});

describe("a handle", () => {
  test("knows of an end that somebody reopened, after it was read anew", async () => {
    const session = await pool.get(id);
    const { signal } = session;
    const theirs = await other.sessions.get(id);
    const fired = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await theirs.end();
    await fired;
    expect(session.hasEnded).toBe(true);
    await theirs.reopen();
    await session.refresh();
    expect([session.hasEnded, session.signal.aborted]).toEqual([false, false]);
  });
});
