import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DeleteUserDataRequestSchema,
  type DeleteUserDataResponse,
  SessionParentKind,
  SessionParentSchema,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { Closings } from "../../../src/domain/children/closings.ts";
import { Removals } from "../../../src/domain/children/removals.ts";
import { UserData } from "../../../src/domain/cleanup/user-data.ts";
import { SessionCells } from "../../../src/domain/session-cells.ts";
import { DataLossError, InvalidFieldError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { StoredSession } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { patch, seen } from "../state/support.ts";
import { end } from "./support.ts";

type Request = MessageInitShape<typeof DeleteUserDataRequestSchema>;

function deleteUser(domain: TestDomain, request: Request = {}): Promise<DeleteUserDataResponse> {
  return domain.userData.delete(create(DeleteUserDataRequestSchema, { userId: "ann", ...request }));
}

async function createFor(domain: TestDomain, userId: string, ...ids: readonly string[]) {
  for (const sessionId of ids) {
    await domain.create({ session: { sessionId, userId } });
    domain.now += 1;
  }
}

async function idsLeft(domain: TestDomain): Promise<string[]> {
  const found = await domain.store.listSessions({
    namespace: "default",
    index: { by: "all" },
    limit: 1_000,
  });
  return found.map(({ session }) => session.sessionId);
}

/** Gives a session a parent, which no call does. */
async function setParent(
  domain: TestDomain,
  sessionId: string,
  parent: MessageInitShape<typeof SessionParentSchema>,
) {
  const name = { namespace: "default", sessionId };
  const before = (await domain.store.getSession(name)) as StoredSession;
  const { uid } = before.session;
  const session = { ...before.session, parent: create(SessionParentSchema, parent) };
  await domain.store.commit({
    key: { ...name, uid },
    before,
    after: { session, head: before.head },
    events: [],
  });
}

test("all sessions of the user go, also ended ones, and no others", async () => {
  await using domain = await openTestDomain();
  await createFor(domain, "ann", "a", "b", "c");
  await createFor(domain, "bob", "d");
  await createFor(domain, "", "e");
  await domain.append({ sessionId: "a", events: [userText("hi")] });
  await end(domain, "b");
  const answer = await deleteUser(domain);
  expect(answer).toMatchObject({ matched: 3, deleted: 3, failed: 0, more: false, forks: [] });
  expect(await idsLeft(domain)).toEqual(["d", "e"]);
  await expect(domain.log("a")).rejects.toThrow("no session");
});

test("a call repeated finds nothing and is no error", async () => {
  await using domain = await openTestDomain();
  await createFor(domain, "ann", "a");
  await deleteUser(domain);
  expect(await deleteUser(domain)).toMatchObject({ matched: 0, deleted: 0 });
  expect(await deleteUser(domain, { userId: "nobody" })).toMatchObject({ matched: 0, deleted: 0 });
});

test("a dry run counts and deletes nothing", async () => {
  await using domain = await openTestDomain();
  await createFor(domain, "ann", "a", "b");
  expect(await deleteUser(domain, { dryRun: true })).toMatchObject({ matched: 2, deleted: 0 });
  expect(await idsLeft(domain)).toEqual(["a", "b"]);
});

test("Isolated: sessions of the user in other namespaces stay", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId: "a", userId: "ann", namespace: "other" } });
  expect(await deleteUser(domain)).toMatchObject({ matched: 0 });
  expect(await deleteUser(domain, { namespace: "other" })).toMatchObject({ deleted: 1 });
});

test.each([{ userId: "" }, { userId: "x".repeat(201) }, { userId: "a\nb" }])(
  "%j is refused",
  async (request) => {
    await using domain = await openTestDomain();
    await expect(deleteUser(domain, request)).rejects.toThrow(InvalidFieldError);
  },
);

describe("what happens meanwhile", () => {
  test("sessions the user gets while others are deleted go as well", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await createFor(domain, "ann", ...Array.from({ length: 40 }, (_, index) => `s${index}`));
    const { commit } = store;
    let later = 0;
    store.commit = async (change) => {
      const committed = await commit.call(store, change);
      const isDeletion = change.after === undefined;
      if (isDeletion && later < 5) await createFor(domain, "ann", `later${later++}`);
      return committed;
    };
    expect(await deleteUser(domain)).toMatchObject({ matched: 45, deleted: 45, more: false });
    expect(await idsLeft(domain)).toEqual([]);
  });

  test("a session that was given to somebody else stays", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await createFor(domain, "ann", "a", "b");
    const { listSessions } = store;
    let isFirst = true;
    store.listSessions = async (query) => {
      const found = await listSessions.call(store, query);
      if (isFirst) {
        isFirst = false;
        const session = { sessionId: "a", userId: "bob" };
        await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
      }
      return found;
    };
    expect(await deleteUser(domain)).toMatchObject({ matched: 2, deleted: 1 });
    expect(await idsLeft(domain)).toEqual(["a"]);
  });

  test("a session that the list leaves out is counted, too", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await createFor(domain, "ann", "a", "b");
    const { listSessions } = store;
    store.listSessions = async (query) => {
      const found = await listSessions.call(store, query);
      const left = found.filter(({ session }) => session.sessionId !== "a");
      if (left.length < found.length) query.onLeftOut?.("a");
      return left;
    };
    expect(await deleteUser(domain)).toMatchObject({ matched: 1, deleted: 1, failed: 1 });
  });

  test("a session that cannot be read is counted, so that nobody takes it for deleted", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await createFor(domain, "ann", "a", "b");
    const { commit } = store;
    store.commit = (change) =>
      change.key.sessionId === "a" && change.after === undefined
        ? Promise.reject(new DataLossError({ record: "head" }))
        : commit.call(store, change);
    expect(await deleteUser(domain)).toMatchObject({ deleted: 1, failed: 1, more: false });
    expect(await idsLeft(domain)).toEqual(["a"]);
  });
});

test("what the user's sessions shared goes with the last of them, not what the namespace shares", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId: "a", userId: "ann" } });
  await domain.create({ session: { sessionId: "b", userId: "bob" } });
  await patch(domain, { "user:locale": "de", "app:theme": "dark" }, { sessionId: "a" });
  await patch(domain, { "user:locale": "en" }, { sessionId: "b" });
  await deleteUser(domain, { dryRun: true });
  expect(await seen(domain, "a")).toMatchObject({ "user:locale": "de" });
  await deleteUser(domain);
  await domain.create({ session: { sessionId: "c", userId: "ann" } });
  expect(await seen(domain, "c")).toEqual({ "app:theme": "dark" });
  expect(await seen(domain, "b")).toMatchObject({ "user:locale": "en" });
});

test("Bounded: a call deletes as many sessions as it may, the next one the rest", async () => {
  await using domain = await openTestDomain();
  const ids = Array.from({ length: 43 }, (_, index) => `s${index}`);
  await Promise.all(
    ids.map((sessionId) => domain.create({ session: { sessionId, userId: "ann" } })),
  );
  const { store } = domain;
  const cells = new SessionCells({ store, clock: () => 0, limit: 100, limitBytes: 1_000_000 });
  const { signal } = new AbortController();
  const { state } = domain;
  const removals = new Removals({ store, cells, closings: new Closings(), shutdown: signal });
  const userData = new UserData({
    clock: () => domain.now,
    store,
    cells,
    removals,
    state,
    shutdown: signal,
    limit: 40,
  });
  const request = create(DeleteUserDataRequestSchema, { userId: "ann" });
  expect(await userData.delete({ ...request, dryRun: true })).toMatchObject({
    matched: 40,
    more: true,
  });
  expect(await userData.delete(request)).toMatchObject({ matched: 40, deleted: 40, more: true });
  expect(await userData.delete(request)).toMatchObject({ matched: 3, deleted: 3, more: false });
});

describe("forks that hold shared history are reported", () => {
  const fork = (sessionId: string) => ({ sessionId, revision: 1, kind: SessionParentKind.FORK });

  test("those of others, and forks of those; not the user's own, nor children", async () => {
    await using domain = await openTestDomain();
    await createFor(domain, "ann", "a");
    await createFor(domain, "bob", "bobs", "unrelated", "child");
    await createFor(domain, "ann", "own");
    await createFor(domain, "cid", "cids", "of-own", "of-nobody");
    await setParent(domain, "bobs", fork("a"));
    await setParent(domain, "child", { ...fork("a"), kind: SessionParentKind.CHILD });
    await setParent(domain, "own", fork("a"));
    await setParent(domain, "cids", fork("bobs"));
    await setParent(domain, "of-own", fork("own"));
    await setParent(domain, "of-nobody", fork("unrelated"));
    const expected = [
      { sessionId: "bobs", parentSessionId: "a" },
      { sessionId: "cids", parentSessionId: "bobs" },
      { sessionId: "of-own", parentSessionId: "own" },
    ];
    const dry = await deleteUser(domain, { dryRun: true });
    expect(dry).toMatchObject({ matched: 2, forks: expected, forkCount: 3 });
    const answer = await deleteUser(domain);
    expect(answer).toMatchObject({ deleted: 2, forks: expected, forkCount: 3 });
    expect(await idsLeft(domain)).toEqual([
      "bobs",
      "unrelated",
      "child",
      "cids",
      "of-own",
      "of-nobody",
    ]);
  });
});
