import { create } from "@bufbuild/protobuf";
import {
  EndSessionRequestSchema,
  IfExists,
  ListSessionsRequestSchema,
  SessionParentKind,
  SessionState,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  InvalidFieldError,
  ParentMismatchError,
  RequestIdReusedError,
  SessionAlreadyExistsError,
  SessionEndedError,
  SessionNotFoundError,
  TooManyGenerationsError,
} from "../../../src/errors.ts";
import { limits } from "../../../src/limits.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { fork } from "../history/support.ts";
import { child, idsOf, remove } from "./support.ts";

async function family(domain: TestDomain): Promise<void> {
  await domain.create({ session: { sessionId: "trip" } });
  await child(domain, "search", "trip");
  domain.now += 1;
  await child(domain, "book", "trip");
  await child(domain, "pay", "book");
}

const end = (domain: TestDomain, sessionId: string) =>
  domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));

describe("a child", () => {
  test("says whose it is and how deep, and has a log, a user and limits of its own", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "trip", userId: "ann", limits: { maxSteps: 5 } } });
    const { uid } = await domain.get("trip");
    const made = await child(domain, "search", "trip", { session: { agentId: "searcher" } });
    const kind = SessionParentKind.CHILD;
    expect(made.parent).toMatchObject({ sessionId: "trip", revision: 0, kind, uid, depth: 1 });
    expect(made).toMatchObject({ userId: "", agentId: "searcher", headRevision: 1 });
    expect(made.limits).toBeUndefined();
    const next = await child(domain, "page", "search");
    expect(next.parent).toMatchObject({ sessionId: "search", uid: made.uid, depth: 2 });
    await domain.append({ sessionId: "search", events: [userText("found")] });
    expect(await domain.log("trip")).toHaveLength(1);
    expect((await domain.log("search")).map(({ payload }) => payload.case)).toEqual([
      "sessionStarted",
      "message",
    ]);
  });

  test("may wait for its first event, as may its parent", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "trip" }, deferredStart: true });
    const session = { sessionId: "search" };
    const made = await domain.create({ session, deferredStart: true, parentSessionId: "trip" });
    expect(made.state).toBe(SessionState.CREATED);
  });

  test("of nobody, of itself or of an ended session is refused, and leaves nothing", async () => {
    await using domain = await openTestDomain();
    await expect(child(domain, "search", "trip")).rejects.toThrow('no session "trip"');
    await expect(child(domain, "search", "trip")).rejects.toBeInstanceOf(SessionNotFoundError);
    await domain.create({ session: { sessionId: "trip", namespace: "other" } });
    await expect(child(domain, "search", "trip")).rejects.toBeInstanceOf(SessionNotFoundError);
    await domain.create({ session: { sessionId: "trip" } });
    await expect(child(domain, "trip", "trip")).rejects.toBeInstanceOf(InvalidFieldError);
    await end(domain, "trip");
    const late = child(domain, "search", "trip");
    await expect(late).rejects.toBeInstanceOf(SessionEndedError);
    await expect(late).rejects.toThrow(
      'session "trip" has ended (COMPLETED) and takes no children',
    );
    expect(await idsOf(domain)).toEqual(["trip"]);
  });

  test("of a session that has timed out is refused, though nobody has written that down", async () => {
    await using domain = await openTestDomain();
    const expiry = { ttl: { seconds: 1n } };
    await domain.create({ session: { sessionId: "trip", expiry } });
    domain.now += 2_000;
    await expect(child(domain, "search", "trip")).rejects.toBeInstanceOf(SessionEndedError);
  });

  test("can have children itself, to a depth", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "0" } });
    for (let level = 1; level <= limits.generations; level++) {
      await child(domain, String(level), String(level - 1));
    }
    const deepest = child(domain, "too-deep", String(limits.generations));
    await expect(deepest).rejects.toBeInstanceOf(TooManyGenerationsError);
    await expect(deepest).rejects.toThrow(`child ${limits.generations} levels deep`);
    // A fork is nobody's child, and may have some of its own.
    await fork(domain, { sessionId: String(limits.generations), newSessionId: "fork" });
    expect((await child(domain, "of-fork", "fork")).parent).toMatchObject({ depth: 1 });
    expect(await remove(domain, "0")).toMatchObject({ childCount: limits.generations });
    expect(await idsOf(domain)).toEqual(["fork", "of-fork"]);
  });

  test("Idempotent: repeated with its request id it is the same, with another parent refused", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "a" } });
    await domain.create({ session: { sessionId: "b" } });
    const make = (parentSessionId: string) =>
      domain.create({ session: {}, requestId: "r", parentSessionId });
    const [made, again] = await Promise.all([make("a"), make("a")]);
    expect(again).toEqual(made);
    await expect(make("b")).rejects.toBeInstanceOf(RequestIdReusedError);
    await remove(domain, "a");
    // A late retry brings neither of them back.
    expect(await make("a")).toEqual(made);
    expect(await idsOf(domain)).toEqual(["b"]);
  });
});

describe("a name that is taken", () => {
  const ifExists = IfExists.RETURN;

  test("is found with the parent it has, or whosever child it is when none is given", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const { uid } = await domain.get("search");
    expect(await child(domain, "search", "trip", { ifExists })).toMatchObject({ uid });
    const session = { sessionId: "search" };
    expect(await domain.create({ session, ifExists })).toMatchObject({
      uid,
      parent: { sessionId: "trip" },
    });
    await end(domain, "trip");
    expect(await child(domain, "search", "trip", { ifExists })).toMatchObject({ uid });
  });

  test("of a child of another, of nobody's child or of a fork is no match", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    await fork(domain, { sessionId: "trip", newSessionId: "fork" });
    await domain.create({ session: { sessionId: "alone" } });
    for (const [sessionId, parent] of [
      ["pay", "trip"],
      ["alone", "trip"],
      ["fork", "trip"],
      ["trip", "pay"],
    ] as const) {
      const found = child(domain, sessionId, parent, { ifExists });
      await expect(found).rejects.toBeInstanceOf(ParentMismatchError);
      await expect(found).rejects.toThrow(`"${sessionId}" exists and is no child of "${parent}"`);
      const renewed = child(domain, sessionId, parent, { ifExists: IfExists.RENEW });
      await expect(renewed).rejects.toBeInstanceOf(ParentMismatchError);
    }
    const plain = child(domain, "search", "trip");
    await expect(plain).rejects.toBeInstanceOf(SessionAlreadyExistsError);
    const noParent = child(domain, "search", "nobody", { ifExists });
    await expect(noParent).rejects.toBeInstanceOf(SessionNotFoundError);
  });

  test("of an ended child is renewed with the parent given, and the ended one keeps its own", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    await domain.create({ session: { sessionId: "other" } });
    await end(domain, "book");
    const renewed = await child(domain, "book", "other", { ifExists: IfExists.RENEW });
    expect(renewed.parent).toMatchObject({ sessionId: "other", depth: 1 });
    expect(await idsOf(domain, "other")).toEqual(["book"]);
    expect(await idsOf(domain, "trip")).toEqual(["search", "book~1"]);
    expect(await idsOf(domain, "book~1")).toEqual(["pay"]);
    await end(domain, "search");
    const session = { sessionId: "search" };
    const free = await domain.create({ session, ifExists: IfExists.RENEW });
    expect(free.parent).toBeUndefined();
    expect(await remove(domain, "trip")).toMatchObject({ childCount: 3 });
    expect(await idsOf(domain)).toEqual(["book", "other", "search"]);
  });

  test("that is renewed takes no children from the session that had it", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    const { uid } = await domain.get("trip");
    await end(domain, "trip");
    await domain.create({ session: { sessionId: "trip" }, ifExists: IfExists.RENEW });
    await child(domain, "fresh", "trip");
    expect(await idsOf(domain, "trip")).toEqual(["fresh"]);
    expect(await idsOf(domain, "trip~1")).toEqual(["search", "book"]);
    // It says what its parent was called then, and which one that is.
    expect((await domain.get("search")).parent).toMatchObject({ sessionId: "trip", uid });
    expect(await remove(domain, "trip")).toMatchObject({ childCount: 1 });
    expect(await remove(domain, "trip~1")).toMatchObject({ childCount: 3 });
    expect(await idsOf(domain)).toEqual([]);
  });
});

describe("a list of children", () => {
  const list = (domain: TestDomain, request: object) =>
    domain.list.list(create(ListSessionsRequestSchema, { parentSessionId: "trip", ...request }));

  test("has no grandchildren and no forks, in pages, and obeys the other filters", async () => {
    await using domain = await openTestDomain();
    await family(domain);
    await fork(domain, { sessionId: "trip", newSessionId: "fork" });
    await child(domain, "late", "trip", { session: { agentId: "a", labels: { tier: "gold" } } });
    await end(domain, "late");
    expect(await idsOf(domain, "trip")).toEqual(["search", "book", "late"]);
    expect(await idsOf(domain, "pay")).toEqual([]);
    const page = await list(domain, { pageSize: 2 });
    expect(page.sessions.map(({ sessionId }) => sessionId)).toEqual(["late", "book"]);
    const rest = await list(domain, { pageSize: 2, pageToken: page.nextPageToken });
    expect(rest.sessions.map(({ sessionId }) => sessionId)).toEqual(["search"]);
    for (const filter of [
      { agentId: "a" },
      { labels: { tier: "gold" } },
      { state: SessionState.COMPLETED },
      { filter: 'session.agent_id == "a"' },
    ]) {
      expect((await list(domain, filter)).sessions).toMatchObject([{ sessionId: "late" }]);
    }
    expect((await list(domain, { userId: "nobody" })).sessions).toEqual([]);
    const other = { parentSessionId: "book", pageToken: page.nextPageToken };
    await expect(list(domain, other)).rejects.toThrow("page_token");
  });

  test("of a session that is not there says so", async () => {
    await using domain = await openTestDomain();
    await expect(list(domain, {})).rejects.toBeInstanceOf(SessionNotFoundError);
  });
});

test("a quota that expires idle sessions spares the parent of the child that is made", async () => {
  const quotaOf = () =>
    ({ activeSessions: 2, whenFull: "expire-longest-idle", minIdleMs: 0 }) as const;
  await using domain = await openTestDomain({ quotaOf });
  await domain.create({ session: { sessionId: "trip" } });
  domain.now += 10;
  await domain.create({ session: { sessionId: "other" } });
  domain.now += 10;
  await child(domain, "search", "trip");
  expect((await domain.get("other")).state).toBe(SessionState.EXPIRED);
  expect((await domain.get("trip")).state).toBe(SessionState.ACTIVE);
});
