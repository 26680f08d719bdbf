import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  EtagMismatchError,
  SessionAlreadyExistsError,
  Sessiond,
  SessionNotFoundError,
  UsageError,
} from "@sessiond/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collect } from "./support/collect.ts";
import { FakeSessiond } from "./support/fake-sessiond.ts";

let server: FakeSessiond;
let sessiond: Sessiond;

beforeEach(async () => {
  server = await FakeSessiond.start();
  sessiond = new Sessiond(server.address);
});

afterEach(async () => {
  sessiond.close();
  await server.kill();
});

describe("sessions", () => {
  test("a created session has the fields it was given", async () => {
    const session = await sessiond.sessions.create({
      sessionId: "user-42",
      agentId: "travel",
      labels: { tier: "gold" },
      limits: { maxSteps: 10, timeoutMs: 1_500 },
      expiry: { idleTtlMs: 60_000 },
    });

    expect(session).toMatchObject({ sessionId: "user-42", state: "active", created: true });
    expect(session.message.agentId).toBe("travel");
    expect(session.message.labels).toEqual({ tier: "gold" });
    expect(session.message.limits).toMatchObject({
      maxSteps: 10,
      timeout: { seconds: 1n, nanos: 500_000_000 },
    });
    expect(session.message.expiry?.idleTtl?.seconds).toBe(60n);
  });

  test("a bound of health that is 0 is sent, and not left out", async () => {
    const session = await sessiond.sessions.create({
      preset: "managed",
      healthPolicy: { failErrorRate: 0 },
    });
    expect(session.message.healthPolicy).toMatchObject({ failErrorRate: 0 });
  });

  test("a name that is taken is a SessionAlreadyExistsError", async () => {
    await sessiond.sessions.create({ sessionId: "a" });
    await expect(sessiond.sessions.create({ sessionId: "a" })).rejects.toBeInstanceOf(
      SessionAlreadyExistsError,
    );
  });

  test("getOrCreate creates once and then finds", async () => {
    const first = await sessiond.sessions.getOrCreate("a", { fingerprint: "c0ffee" });
    const second = await sessiond.sessions.getOrCreate("a", { fingerprint: "decaf0" });

    expect([first.created, second.created]).toEqual([true, false]);
    expect(second.uid).toBe(first.uid);
    expect(second.fingerprintChanged).toBe(true);
  });

  test("an update changes the given fields and no others", async () => {
    const session = await sessiond.sessions.create({ sessionId: "a", agentId: "travel" });
    await session.update({ title: "Japan" });

    expect(session.title).toBe("Japan");
    expect(session.message.agentId).toBe("travel");
  });

  test("an update with ifUnchanged fails when somebody else changed the session", async () => {
    const mine = await sessiond.sessions.create({ sessionId: "a" });
    const theirs = await sessiond.sessions.get("a");
    await theirs.update({ title: "theirs" });

    const update = mine.update({ title: "mine" }, { ifUnchanged: true });
    await expect(update).rejects.toBeInstanceOf(EtagMismatchError);
    await mine.refresh();
    await mine.update({ title: "mine" }, { ifUnchanged: true });
    expect((await theirs.refresh()).title).toBe("mine");
  });

  test("an ended session says how it ended", async () => {
    const session = await sessiond.sessions.create({ sessionId: "a" });
    await session.end({ state: "failed", error: { code: "tool", message: "no flights" } });

    expect(session.state).toBe("failed");
    expect(session.message.end).toMatchObject({ errorCode: "tool", errorMessage: "no flights" });
  });

  test("a deleted session is not found", async () => {
    const session = await sessiond.sessions.create({ sessionId: "a" });

    expect(await session.delete()).toBe(true);
    expect(await sessiond.sessions.delete("a", { allowMissing: true })).toBe(false);
    await expect(sessiond.sessions.get("a")).rejects.toBeInstanceOf(SessionNotFoundError);
  });

  test("a client sees its own namespace only", async () => {
    await using other = new Sessiond({ address: server.address, namespace: "other" });
    await sessiond.sessions.create({ sessionId: "a" });

    await expect(other.sessions.get("a")).rejects.toBeInstanceOf(SessionNotFoundError);
    expect(await collect(other.sessions.list())).toEqual([]);
  });
});

describe("lists", () => {
  beforeEach(async () => {
    for (let i = 1; i <= 7; i++) await sessiond.sessions.create({ sessionId: `s${i}` });
  });

  test("an awaited list is one page, and its token leads to the next", async () => {
    const first = await sessiond.sessions.list({ pageSize: 4, order: "oldest" });
    expect(first.items.map((session) => session.sessionId)).toEqual(["s1", "s2", "s3", "s4"]);

    const pageToken = first.nextPageToken;
    const second = await sessiond.sessions.list({ pageSize: 4, order: "oldest", pageToken });
    expect(second.items.map((session) => session.sessionId)).toEqual(["s5", "s6", "s7"]);
    expect(second.nextPageToken).toBeUndefined();
  });

  test("an iterated list is everything, in order", async () => {
    const all = await collect(sessiond.sessions.list({ pageSize: 3, order: "newest" }));
    expect(all.map((session) => session.sessionId)).toEqual(
      [7, 6, 5, 4, 3, 2, 1].map((i) => `s${i}`),
    );
  });

  test("an iteration fetches a page only when the one before is used up", async () => {
    let taken = 0;
    for await (const _ of sessiond.sessions.list({ pageSize: 3 })) {
      taken += 1;
      if (taken === 3) break;
    }
    expect(server.callsOf("ListSessions")).toHaveLength(1);
  });

  test("a list that nobody awaits or iterates asks for nothing", async () => {
    sessiond.sessions.list();
    await sessiond.sessions.get("s1");
    expect(server.callsOf("ListSessions")).toEqual([]);
  });

  test("a failed page fails the list with this client's error", async () => {
    const session = await sessiond.sessions.get("s1");
    await session.delete();
    await expect(session.events()).rejects.toBeInstanceOf(SessionNotFoundError);
    await expect(collect(session.events())).rejects.toBeInstanceOf(SessionNotFoundError);
  });
});

describe("addresses", () => {
  test("a server behind a unix socket answers", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sessiond-"));
    try {
      await using unixServer = await FakeSessiond.start({ path: join(folder, "socket") });
      await using client = new Sessiond(unixServer.address);
      const session = await client.sessions.create({ sessionId: "a" });

      await session.append({ role: "user", text: "hello" });
      expect(client.address).toMatch(/^unix:/);
      expect((await collect(session.events())).map((event) => event.text)).toEqual(["", "hello"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("SESSIOND_ADDRESS names the server when the caller does not", () => {
    const variables = { SESSIOND_ADDRESS: "unix:/run/sessiond.sock" };
    expect(new Sessiond({ variables }).address).toBe("unix:/run/sessiond.sock");
    expect(new Sessiond({ variables: {} }).address).toBe("127.0.0.1:7377");
    expect(new Sessiond({ address: "[::1]:80", variables }).address).toBe("[::1]:80");
  });

  test.each(["localhost", "http://localhost:7377", "localhost:0", "localhost:70000", "unix:", ""])(
    "the address %j is refused with what to write instead",
    (address) => {
      expect(() => new Sessiond(address)).toThrow(UsageError);
      expect(() => new Sessiond(address)).toThrow("neither host:port");
    },
  );
});
