import { create } from "@bufbuild/protobuf";
import {
  CleanupAction,
  DeleteSessionRequestSchema,
  DeleteUserDataRequestSchema,
  EndSessionRequestSchema,
  IfExists,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { DataLossError, SessionNotFoundError, ShuttingDownError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { StoredSession } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { cleanupPage } from "../cleanup/support.ts";
import { fork, remove as removeAndFree } from "../history/support.ts";
import { expiryOf, reopen } from "../lifecycle/support.ts";
import { verify } from "../upkeep/support.ts";
import { child, idsOf, remove, watchOrphans } from "./support.ts";

/** A session with two children and a grandchild; the session has ended and goes after a second. */
async function family(domain: TestDomain): Promise<void> {
  const expiry = expiryOf({ retention: 1_000 });
  await domain.create({ session: { sessionId: "trip", userId: "ann", expiry } });
  await child(domain, "search", "trip");
  await child(domain, "book", "trip", { session: { userId: "bob" } });
  await child(domain, "pay", "book", { session: { userId: "ann" } });
  await domain.create({ session: { sessionId: "stranger" } });
}

const end = (domain: TestDomain, sessionId: string) =>
  domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));

async function due(domain: TestDomain): Promise<void> {
  await family(domain);
  await end(domain, "trip");
  domain.now += 1_000;
}

const deleteUser = (domain: TestDomain, dryRun = false) =>
  domain.userData.delete(create(DeleteUserDataRequestSchema, { userId: "ann", dryRun }));

describe("deleting a session", () => {
  test("deletes its children and theirs, the deepest first, and tells how many", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const gone: string[] = [];
    domain.store.onCommit(({ change: { key, after } }) => {
      if (after === undefined) gone.push(key.sessionId);
    });
    expect(await remove(domain, "trip")).toMatchObject({ deleted: true, childCount: 3 });
    expect(gone).toEqual(["search", "pay", "book", "trip"]);
    expect(await idsOf(domain)).toEqual(["stranger"]);
    await expect(domain.log("pay")).rejects.toBeInstanceOf(SessionNotFoundError);
  });

  test("that is a child takes its own along, and leaves its parent and siblings", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    expect(await remove(domain, "book")).toMatchObject({ childCount: 1 });
    expect(await idsOf(domain)).toEqual(["search", "stranger", "trip"]);
    expect(await remove(domain, "stranger")).toMatchObject({ childCount: 0 });
  });

  test("leaves forks of it and of its children, with all that they share", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    for (const sessionId of ["trip", "search", "pay"]) {
      await domain.append({ sessionId, events: [userText(`of ${sessionId}`)] });
      await fork(domain, { sessionId, newSessionId: `${sessionId}-fork` });
    }
    const forks = ["pay-fork", "search-fork", "trip-fork"];
    const logs = await Promise.all(forks.map((id) => domain.log(id)));
    await removeAndFree(domain, "trip");
    expect(await idsOf(domain)).toEqual([...forks, "stranger"].sort());
    expect(await Promise.all(forks.map((id) => domain.log(id)))).toEqual(logs);
    expect((await domain.get("pay-fork")).parent?.sessionId).toBe("pay");
    expect((await verify(domain.store)).findings).toEqual([]);
  });

  test("Idempotent: a retry gets the first answer, and deletes nobody of that name", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const request = create(DeleteSessionRequestSchema, { sessionId: "trip", requestId: "r" });
    const first = await domain.sessions.delete(request);
    await family(domain).catch(() => {});
    expect(await domain.sessions.delete(request)).toEqual(first);
    expect(first.childCount).toBe(3);
    expect(await idsOf(domain, "trip")).toEqual(["book", "search"]);
  });

  test("twice at once deletes it once, and a child of it at the same time", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const orphans = watchOrphans(domain.store);
    const answers = await Promise.allSettled([
      remove(domain, "trip"),
      remove(domain, "trip"),
      remove(domain, "book"),
    ]);
    expect(answers.filter(({ status }) => status === "rejected")).toHaveLength(1);
    expect(await idsOf(domain)).toEqual(["stranger"]);
    expect(orphans).toEqual([]);
  });

  test("is refused while a child cannot be read, which would be left without it", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await family(domain);
    const { listSessions } = store;
    store.listSessions = async (query) => {
      const found = await listSessions.call(store, query);
      return found.filter(({ session }) => {
        if (query.index.by !== "parent" || session.sessionId !== "pay") return true;
        query.onLeftOut?.("pay");
        return false;
      });
    };
    await expect(remove(domain, "trip")).rejects.toBeInstanceOf(DataLossError);
    await expect(remove(domain, "trip")).rejects.toThrow('session "pay", a child of "book"');
    expect(await deleteUser(domain)).toMatchObject({ failed: 1 });
    store.listSessions = listSessions;
    expect(await remove(domain, "trip")).toMatchObject({ deleted: true });
    expect(await idsOf(domain)).toEqual(["stranger"]);
  });

  test("with many children ends when the server stops, and is done by the next call", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "trip" } });
    const ids = Array.from({ length: 100 }, (_, index) => `c${index}`);
    await Promise.all(ids.map((id) => child(domain, id, "trip")));
    let left = 20;
    domain.store.onCommit(({ change: { after } }) => {
      if (after === undefined && --left === 0) domain.shutDown();
    });
    await expect(remove(domain, "trip")).rejects.toBeInstanceOf(ShuttingDownError);
    const { length } = await domain.store.listSessions({
      namespace: "default",
      index: { by: "all" },
      limit: 1_000,
    });
    expect(length).toBeGreaterThan(50);
    await using next = await openTestDomain({ store: domain.store });
    expect(await remove(next, "trip")).toMatchObject({ childCount: length - 1 });
  });
});

test.each(["trip", "old"])("RENEW below %s while that is deleted makes no orphan", async (gone) => {
  const store = await MemoryStore.open();
  await using domain = await openTestDomain({ store });
  const orphans = watchOrphans(store);
  await family(domain);
  await domain.create({ session: { sessionId: "old" } });
  await end(domain, "old");
  const { getSession } = store;
  // Right before the ended session would leave its name to a fresh one.
  let isOver = false;
  store.getSession = async (name) => {
    if (name.sessionId === "old~1" && !isOver) {
      isOver = true;
      await remove(domain, gone);
    }
    return getSession.call(store, name);
  };
  const renewed = child(domain, "old", "trip", { ifExists: IfExists.RENEW });
  if (gone === "trip") {
    await expect(renewed).rejects.toBeInstanceOf(SessionNotFoundError);
    // Nothing half done: the ended one has its name.
    expect(await idsOf(domain)).toEqual(["old", "stranger"]);
  } else {
    expect(await renewed).toMatchObject({ sessionId: "old", parent: { sessionId: "trip" } });
    expect(await idsOf(domain)).not.toContain("old~1");
  }
  expect(orphans).toEqual([]);
});

describe("retention", () => {
  test("archives a session and each child, then removes them", async () => {
    const kept: string[] = [];
    const archive = async ({ session }: StoredSession) => {
      expect((await domain.get(session.sessionId)).uid).toBe(session.uid);
      kept.push(session.sessionId);
    };
    await using domain = await openTestDomain({ archive });
    await due(domain);
    expect(await domain.sweeper.sweep()).toEqual(new Set());
    expect(kept.sort()).toEqual(["book", "pay", "search", "trip"]);
    expect(await idsOf(domain)).toEqual(["stranger"]);
  });

  test("removes nothing above a child that cannot be archived, until it can", async () => {
    let isFull = true;
    const failures: unknown[] = [];
    const archive = async ({ session }: StoredSession) => {
      if (isFull && session.sessionId === "pay") throw new Error("no space left");
    };
    const onSweepError = (error: unknown) => failures.push(error);
    await using domain = await openTestDomain({ archive, onSweepError });
    const orphans = watchOrphans(domain.store);
    await due(domain);
    await domain.sweeper.sweep();
    expect(failures).toMatchObject([{ message: "no space left" }]);
    expect(await idsOf(domain)).toEqual(["book", "pay", "stranger", "trip"]);
    isFull = false;
    await domain.sweeper.sweep();
    expect(await idsOf(domain)).toEqual(["stranger"]);
    expect(orphans).toEqual([]);
  });

  test("leaves a session that is reopened while its children are archived", async () => {
    const archive = async ({ session }: StoredSession) => {
      if (session.sessionId === "pay") await reopen(domain, { sessionId: "trip" });
    };
    await using domain = await openTestDomain({ archive });
    await due(domain);
    await domain.sweeper.sweep();
    const left = await idsOf(domain);
    expect(left).toContain("trip");
    expect((await domain.get("trip")).headRevision).toBe(3);
  });

  test("leaves a child that goes on while it is archived, and its parent, for the next time", async () => {
    let appends = 2;
    const archive = async ({ session }: StoredSession) => {
      if (session.sessionId !== "search" || appends-- <= 0) return;
      await domain.append({ sessionId: "search", events: [userText("still here")] });
    };
    await using domain = await openTestDomain({ archive });
    await due(domain);
    for (let sweeps = 0; sweeps < 2; sweeps++) {
      await domain.sweeper.sweep();
      expect(await idsOf(domain)).toEqual(expect.arrayContaining(["search", "trip"]));
    }
    await domain.sweeper.sweep();
    expect(await idsOf(domain)).toEqual(["stranger"]);
  });

  test("of a child removes it alone", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const session = { sessionId: "book", expiry: expiryOf({ retention: 10 }) };
    await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
    await end(domain, "book");
    domain.now += 10;
    await domain.sweeper.sweep();
    expect(await idsOf(domain)).toEqual(["search", "stranger", "trip"]);
  });
});

describe("a cleanup that deletes", () => {
  const action = CleanupAction.DELETE;
  const filter = 'session.session_id in ["trip", "pay"]';

  test("takes children along, counts them, and a child that matches itself as one that matches", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const dry = await cleanupPage(domain, { action, filter, dryRun: true });
    expect(dry).toMatchObject({ matched: 2, changed: 0, childCount: 2 });
    const done = await cleanupPage(domain, { action, filter });
    expect(done).toMatchObject({ matched: 2, changed: 2, childCount: 2, failed: 0 });
    expect(done.sessions.every(({ changed }) => changed)).toBe(true);
    expect(await idsOf(domain)).toEqual(["stranger"]);
  });

  test("that only ends sessions leaves children alone", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const ended = { action: CleanupAction.EXPIRE, filter: 'session.session_id == "trip"' };
    expect(await cleanupPage(domain, ended)).toMatchObject({ changed: 1, childCount: 0 });
    expect(await idsOf(domain)).toHaveLength(5);
  });
});

test("deleting a user's data deletes children of others, and names forks of those", async () => {
  await using domain = await openTestDomain();
  await family(domain);
  await fork(domain, { sessionId: "book", newSessionId: "f", session: { userId: "cid" } });
  const forks = [{ sessionId: "f", parentSessionId: "book" }];
  const counts = { matched: 2, childCount: 2, forkCount: 1, forks };
  expect(await deleteUser(domain, true)).toMatchObject({ ...counts, deleted: 0 });
  expect(await idsOf(domain)).toHaveLength(6);
  expect(await deleteUser(domain)).toMatchObject({ ...counts, deleted: 2, failed: 0 });
  expect(await idsOf(domain)).toEqual(["f", "stranger"]);
  expect(await deleteUser(domain)).toMatchObject({ matched: 0, childCount: 0 });
});
