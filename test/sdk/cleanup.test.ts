import {
  type CleanupProgress,
  FilterFailedError,
  InvalidFieldError,
  Sessiond,
  SessionNotFoundError,
} from "@sessiond/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

const minute = 60_000;
let now: number;
let server: InMemoryServer;
let sessiond: Sessiond;

beforeEach(async () => {
  now = Date.UTC(2030, 0, 1);
  server = await startInMemory({ clock: () => now });
  sessiond = new Sessiond(server.address);
});

afterEach(async () => {
  sessiond.close();
  await server.stop();
});

/** Sessions s0, s1 … one minute apart. */
async function createMany(count: number, labels: Record<string, string> = {}): Promise<void> {
  for (let i = 0; i < count; i++) {
    await sessiond.sessions.create({ sessionId: `s${i}`, labels, metadata: { i } });
    now += minute;
  }
}

const idsOf = async (filter?: string) =>
  (await collect(sessiond.sessions.list({ filter, order: "oldest" }))).map(
    ({ sessionId }) => sessionId,
  );

describe("a cleanup", () => {
  test("awaited gives the totals of all pages, and tells of each page", async () => {
    await createMany(40);
    const progress: CleanupProgress[] = [];
    const totals = await sessiond.sessions.cleanup({
      pageSize: 4,
      onProgress: (page) => progress.push(page),
    });
    // s0 to s10 are 30 minutes old or older.
    expect(totals).toEqual({ scanned: 11, matched: 11, changed: 11, failed: 0, childCount: 0 });
    expect(progress.map(({ scanned, phase }) => [scanned, phase])).toEqual([
      [4, "changing"],
      [8, "changing"],
      [11, "changing"],
    ]);
    expect(await idsOf('session.state == "expired"')).toHaveLength(11);
    expect(await sessiond.sessions.cleanup()).toMatchObject({ scanned: 0, changed: 0 });
  });

  test("iterated gives the sessions that match, with why", async () => {
    await createMany(3);
    const options = { idleMs: 2 * minute, dryRun: true, pageSize: 1 };
    expect(await collect(sessiond.sessions.cleanup(options))).toEqual([
      { sessionId: "s0", why: "idle for 3 min", changed: false },
      { sessionId: "s1", why: "idle for 2 min", changed: false },
    ]);
    expect(await idsOf('session.state == "active"')).toHaveLength(3);
  });

  test("left early does no further page", async () => {
    await createMany(4);
    for await (const _ of sessiond.sessions.cleanup({ idleMs: 0, pageSize: 1 })) break;
    expect(await idsOf('session.state == "active"')).toEqual(["s1", "s2", "s3"]);
  });

  test("does nothing until somebody waits for it", async () => {
    await createMany(1);
    const cleanup = sessiond.sessions.cleanup({ idleMs: 0 });
    expect(await idsOf('session.state == "active"')).toEqual(["s0"]);
    await cleanup;
    expect(await idsOf('session.state == "active"')).toEqual([]);
  });

  test("fails, or deletes, by error rate, age and filter together", async () => {
    await createMany(3, { tier: "trial" });
    for (const id of ["s0", "s1"]) {
      await (await sessiond.sessions.get(id)).recordRequest({
        error: { code: "tool", message: "" },
      });
    }
    const filter = 'session.labels.tier == "trial" && session.metadata.i > 0';
    expect(
      await sessiond.sessions.cleanup({ minErrorRate: 0.5, filter, action: "fail" }),
    ).toMatchObject({ scanned: 3, matched: 1, changed: 1 });
    const failed = await sessiond.sessions.get("s1");
    expect(failed).toMatchObject({ state: "failed", message: { end: { errorCode: "cleanup" } } });
    await sessiond.sessions.cleanup({ ageMs: 2 * minute, action: "delete" });
    expect(await idsOf()).toEqual(["s2"]);
  });

  test("with a filter that fails on a late page has changed nothing on the early ones", async () => {
    await createMany(5);
    await sessiond.sessions.create({ sessionId: "odd", metadata: { i: "six" } });
    const options = { filter: "session.metadata.i < 9", action: "delete", pageSize: 2 } as const;
    const failure = await sessiond.sessions
      .cleanup(options)
      .then(undefined, (error: unknown) => error);
    expect(failure).toBeInstanceOf(FilterFailedError);
    expect(failure).toMatchObject({ sessionId: "odd", reason: "FILTER_FAILED" });
    expect((failure as FilterFailedError).why).toMatch(/^found no matching overload/);
    expect(await idsOf()).toHaveLength(6);
  });

  test("with a filter says how many sessions there are to look at", async () => {
    await createMany(3);
    const seen: [string, number, number | undefined][] = [];
    await sessiond.sessions.cleanup({
      filter: "true",
      pageSize: 2,
      onProgress: ({ phase, scanned, total }) => seen.push([phase, scanned, total]),
    });
    expect(seen).toEqual([
      ["checking", 2, undefined],
      ["checking", 3, undefined],
      ["changing", 2, 3],
      ["changing", 3, 3],
    ]);
  });

  test("with a filter that does not compile says where", async () => {
    const cleanup = sessiond.sessions.cleanup({ filter: "session.evnts > 1" });
    await expect(cleanup).rejects.toBeInstanceOf(InvalidFieldError);
    await expect(cleanup).rejects.toThrow(
      'filter: does not compile at 1:8: a session has no "evnts"',
    );
  });
});

test("a list takes a filter, also for what no index has", async () => {
  await createMany(4);
  expect(await idsOf("session.metadata.i >= 2")).toEqual(["s2", "s3"]);
  await expect(sessiond.sessions.list({ filter: "event.turn == 1" })).rejects.toThrow(
    'there is no "event"; a filter is about "session"',
  );
});

test("the data of a user is deleted, that of others is not", async () => {
  for (const [sessionId, userId] of Object.entries({ a: "42", b: "42", c: "43" })) {
    await sessiond.sessions.create({ sessionId, userId });
  }
  const nothing = { failed: 0, forks: [], forkCount: 0, childCount: 0 };
  const dryRun = await sessiond.deleteUserData("42", { dryRun: true });
  expect(dryRun).toEqual({ matched: 2, deleted: 0, ...nothing });
  expect(await sessiond.deleteUserData("42")).toEqual({ matched: 2, deleted: 2, ...nothing });
  await expect(sessiond.sessions.get("a")).rejects.toBeInstanceOf(SessionNotFoundError);
  expect(await idsOf()).toEqual(["c"]);
  expect(await sessiond.deleteUserData("42")).toEqual({ matched: 0, deleted: 0, ...nothing });
});
