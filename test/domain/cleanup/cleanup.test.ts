import { create } from "@bufbuild/protobuf";
import { CleanupAction, CreateSessionRequestSchema, SessionState } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  DataLossError,
  FilterFailedError,
  InvalidFieldError,
  PageTokenInvalidError,
  ShuttingDownError,
  WritesRefusedError,
} from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { expiryOf } from "../lifecycle/support.ts";
import {
  type CleanupInit,
  cleanupAll,
  cleanupPage,
  day,
  end,
  minute,
  ms,
  recordRequests,
} from "./support.ts";

/** Lists as a store does that has a damaged record. */
function leaveOut(store: MemoryStore, damaged: string): void {
  const { listSessions } = store;
  store.listSessions = async (query) => {
    const { onLeftOut, limit } = query;
    const found = await listSessions.call(store, { ...query, limit: limit + 1 });
    const left = found.filter(({ session }) => session.sessionId !== damaged).slice(0, limit);
    const at = found.findIndex(({ session }) => session.sessionId === damaged);
    // As LMDB, which stops at the last one it returns.
    if (at !== -1 && (at < limit || left.length < limit)) onLeftOut?.(damaged);
    return left;
  };
}

/** Sessions `a`, `b` … one minute apart; now is a minute after the last. */
async function createEach(domain: TestDomain, ...ids: readonly string[]): Promise<void> {
  for (const sessionId of ids) {
    await domain.create({ session: { sessionId } });
    domain.now += minute;
  }
}

describe("criteria", () => {
  test("without any, sessions go that were idle for 30 minutes", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "idle", "busy", "young");
    domain.now += 27 * minute;
    await domain.append({ sessionId: "busy", events: [userText("hi")] });
    const found = await cleanupAll(domain);
    expect(found).toMatchObject({ matched: 1, changed: 1, failed: 0, ids: ["idle"] });
    expect(found.matches[0]).toMatchObject({ why: "idle for 30 min", changed: true });
    expect(await domain.get("idle")).toMatchObject({
      state: SessionState.EXPIRED,
      end: { reason: "cleanup: idle for 30 min" },
    });
    expect((await domain.get("busy")).state).toBe(SessionState.ACTIVE);
  });

  test("idle counts from the newest event, and holds to the millisecond", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "a");
    await domain.append({ sessionId: "a", events: [userText("hi")] });
    domain.now += 999;
    expect((await cleanupAll(domain, { idle: ms(1_000) })).ids).toEqual([]);
    domain.now += 1;
    expect((await cleanupAll(domain, { idle: ms(1_000) })).ids).toEqual(["a"]);
  });

  test("age counts from the creation, whatever happened since", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "old");
    domain.now += 8 * day;
    await createEach(domain, "new");
    await domain.append({ sessionId: "old", events: [userText("hi")] });
    const found = await cleanupAll(domain, { age: ms(7 * day), action: CleanupAction.DELETE });
    expect(found.matches).toMatchObject([{ sessionId: "old", why: "created 8 d ago" }]);
    await expect(domain.get("old")).rejects.toThrow("no session");
  });

  test("an error rate is above what was given, over enough requests", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "none", "half", "more", "few");
    await recordRequests(domain, "half", { well: 2, failed: 2 });
    await recordRequests(domain, "more", { well: 1, failed: 3 });
    await recordRequests(domain, "few", { well: 0, failed: 1 });
    const request = { minErrorRate: 0.5, dryRun: true };
    const found = await cleanupAll(domain, request);
    expect(found.matches).toMatchObject([
      { sessionId: "more", why: "3 of 4 requests failed" },
      { sessionId: "few", why: "1 of 1 requests failed" },
    ]);
    expect((await cleanupAll(domain, { ...request, minRequests: 2 })).ids).toEqual(["more"]);
    expect((await cleanupAll(domain, { ...request, minErrorRate: 0 })).ids).toHaveLength(3);
    expect((await cleanupAll(domain, { ...request, minErrorRate: 1 })).ids).toEqual([]);
  });

  test("all that are given must match, a filter among them", async () => {
    await using domain = await openTestDomain();
    for (const [sessionId, tier] of [
      ["a", "trial"],
      ["b", "gold"],
    ] as const) {
      await domain.create({ session: { sessionId, labels: { tier } } });
    }
    domain.now += 5 * minute;
    await domain.create({ session: { sessionId: "c", labels: { tier: "trial" } } });
    const filter = 'session.labels.tier == "trial"';
    const found = await cleanupAll(domain, { age: ms(5 * minute), filter });
    expect(found.matches).toMatchObject([
      { sessionId: "a", why: "created 5 min ago, the filter is true" },
    ]);
  });

  test("min_requests alone is refused, because it would say nothing", async () => {
    await using domain = await openTestDomain();
    await expect(cleanupPage(domain, { minRequests: 3 })).rejects.toThrow(InvalidFieldError);
  });

  test.each<[string, CleanupInit]>([
    ["a negative time", { idle: { seconds: -1n } }],
    ["a negative age", { age: { seconds: -1n } }],
    ["a negative rate", { minErrorRate: -0.1 }],
    ["a rate above 1", { minErrorRate: 1.1 }],
    ["a rate that is no number", { minErrorRate: Number.NaN }],
    ["a negative page", { pageSize: -1 }],
    ["an unknown action", { action: 9 as CleanupAction }],
    ["half a filter", { filter: "session.events >" }],
    ["a filter that gives a number", { filter: "session.events" }],
    ["a filter over events", { filter: "event.text == 'x'" }],
    ["a wrong namespace", { namespace: "a b" }],
  ])("%s is refused and changes nothing", async (_, request) => {
    await using domain = await openTestDomain();
    await createEach(domain, "a");
    domain.now += day;
    await expect(cleanupPage(domain, request)).rejects.toThrow(InvalidFieldError);
    expect((await domain.get("a")).state).toBe(SessionState.ACTIVE);
  });
});

describe("actions", () => {
  test("FAIL ends with an error code; the log says it", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "a");
    await cleanupAll(domain, { idle: ms(0), action: CleanupAction.FAIL });
    expect(await domain.get("a")).toMatchObject({
      state: SessionState.FAILED,
      end: {
        reason: "cleanup: idle for 1 min",
        errorCode: "cleanup",
        errorMessage: "idle for 1 min",
      },
    });
    expect((await domain.log("a")).at(-1)?.payload.case).toBe("sessionEnded");
  });

  test("EXPIRE and FAIL leave ended sessions alone, DELETE removes them too", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "ended", "open");
    await domain.create({
      session: { sessionId: "overdue", expiry: expiryOf({ ttl: minute }) },
    });
    await end(domain, "ended");
    domain.now += day;
    for (const action of [CleanupAction.EXPIRE, CleanupAction.FAIL]) {
      expect((await cleanupAll(domain, { action, dryRun: true })).ids).toEqual(["open"]);
    }
    await cleanupAll(domain);
    expect((await domain.get("ended")).state).toBe(SessionState.COMPLETED);
    const found = await cleanupAll(domain, { idle: ms(0), action: CleanupAction.DELETE });
    expect(found).toMatchObject({ scanned: 3, changed: 3 });
    expect((await cleanupAll(domain, { idle: ms(0), action: CleanupAction.DELETE })).scanned).toBe(
      0,
    );
  });

  test("sessions that were never started are cleaned up as well", async () => {
    await using domain = await openTestDomain();
    const request = { session: { sessionId: "deferred" }, deferredStart: true };
    await domain.sessions.create(create(CreateSessionRequestSchema, request));
    await createEach(domain, "a");
    domain.now += day;
    expect((await cleanupAll(domain)).ids).toEqual(["deferred", "a"]);
    expect((await domain.get("deferred")).state).toBe(SessionState.EXPIRED);
  });

  test("a dry run says what would go, and changes nothing", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "a", "b");
    domain.now += day;
    const dry = await cleanupAll(domain, { action: CleanupAction.DELETE, dryRun: true });
    expect(dry).toMatchObject({ scanned: 2, matched: 2, changed: 0, ids: ["a", "b"] });
    expect(dry.matches.every(({ changed }) => !changed)).toBe(true);
    expect(await domain.get("a")).toMatchObject({ state: SessionState.ACTIVE, headRevision: 1 });
  });

  test("Isolated: other namespaces are left alone", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "a", namespace: "other" } });
    domain.now += day;
    expect(await cleanupAll(domain)).toMatchObject({ scanned: 0 });
    expect(await cleanupAll(domain, { namespace: "other" })).toMatchObject({ changed: 1 });
  });
});

describe("pages", () => {
  test("join into the whole, and a call begun anew finds what is left", async () => {
    await using domain = await openTestDomain();
    for (let i = 0; i < 25; i++) await domain.create({ session: { sessionId: `s${i}` } });
    domain.now += day;
    const first = await cleanupPage(domain, { pageSize: 10 });
    expect(first).toMatchObject({ scanned: 10, matched: 10, changed: 10 });
    expect(first.nextPageToken).not.toBe("");
    expect(await cleanupAll(domain, { pageSize: 4 })).toMatchObject({ scanned: 15, changed: 15 });
    expect(await cleanupAll(domain)).toMatchObject({ scanned: 0, changed: 0 });
  });

  test("end with the sessions of the first page's time, however many come", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "a", "b");
    let pageToken = "";
    let more = 0;
    const ids: string[] = [];
    do {
      const request = { filter: "true", dryRun: true, pageSize: 1, pageToken };
      const page = await cleanupPage(domain, request);
      ids.push(...page.sessions.map(({ sessionId }) => sessionId));
      pageToken = page.nextPageToken;
      domain.now += 1;
      await createEach(domain, `later${more++}`);
    } while (pageToken !== "");
    expect(ids).toEqual(["a", "b"]);
  });

  test("do not go on with other criteria, another action, or a token somebody made up", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "a", "b", "c");
    domain.now += day;
    const request = { idle: ms(minute), pageSize: 1, dryRun: true };
    const { nextPageToken: pageToken } = await cleanupPage(domain, request);
    for (const other of [
      { idle: ms(2 * minute) },
      { action: CleanupAction.DELETE },
      { dryRun: false },
      { namespace: "other" },
      { filter: "true" },
      { pageToken: "AAAA" },
    ]) {
      await expect(cleanupPage(domain, { ...request, pageToken, ...other })).rejects.toThrow(
        PageTokenInvalidError,
      );
    }
    expect((await cleanupPage(domain, { ...request, pageToken, pageSize: 9 })).scanned).toBe(2);
  });

  test("do not look at sessions that are too young to match", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "old");
    domain.now += day;
    for (let i = 0; i < 100; i++) await domain.create({});
    const found = await cleanupAll(domain, { idle: ms(minute) });
    expect(found).toMatchObject({ scanned: 1, changed: 1 });
  });
});

describe("what happens meanwhile", () => {
  test("a session that becomes active while its page is read is left alone", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await createEach(domain, "a", "b");
    domain.now += day;
    const { listSessions } = store;
    let isFirst = true;
    store.listSessions = async (query) => {
      const found = await listSessions.call(store, query);
      if (isFirst && found.length > 0) {
        isFirst = false;
        await domain.append({ sessionId: "a", events: [userText("still here")] });
      }
      return found;
    };
    const found = await cleanupAll(domain);
    expect(found.matches).toMatchObject([
      { sessionId: "a", changed: false },
      { sessionId: "b", changed: true },
    ]);
    expect((await domain.get("a")).state).toBe(SessionState.ACTIVE);
  });

  test("and one that does so while others are changed counts as matched, not as changed", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    const ids = Array.from({ length: 20 }, (_, index) => `s${index}`);
    for (const sessionId of ids) await domain.create({ session: { sessionId } });
    domain.now += day;
    const { commit } = store;
    let append: Promise<unknown> | undefined;
    store.commit = (change) => {
      append ??= domain.append({ sessionId: "s19", events: [userText("still here")] });
      return commit.call(store, change);
    };
    const found = await cleanupAll(domain);
    await append;
    expect(found).toMatchObject({ matched: 20, changed: 19 });
    expect(found.matches.find(({ changed }) => !changed)?.sessionId).toBe("s19");
    expect((await domain.get("s19")).state).toBe(SessionState.ACTIVE);
  });

  test("a session that cannot be read is left alone and counted", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await createEach(domain, "a", "b", "c");
    domain.now += day;
    const { commit } = store;
    store.commit = (change) =>
      change.key.sessionId === "b"
        ? Promise.reject(new DataLossError({ record: "head" }))
        : commit.call(store, change);
    expect(await cleanupAll(domain)).toMatchObject({ matched: 3, changed: 2, failed: 1 });
    expect((await domain.get("b")).state).toBe(SessionState.ACTIVE);
  });

  test("one that a list leaves out is counted once, whatever the pages", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await createEach(domain, "a", "damaged", "c", "d");
    domain.now += day;
    leaveOut(store, "damaged");
    for (const pageSize of [1, 2, 9]) {
      const found = await cleanupAll(domain, { pageSize, dryRun: true });
      expect(found).toMatchObject({ scanned: 3, failed: 1, ids: ["a", "c", "d"] });
    }
  });

  test("a store that takes no writes ends the call with its name, a later one does the rest", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    for (let i = 0; i < 20; i++) await domain.create({ session: { sessionId: `s${i}` } });
    domain.now += day;
    const { commit } = store;
    let left = 10;
    store.commit = (change) =>
      left-- > 0
        ? commit.call(store, change)
        : Promise.reject(new WritesRefusedError("the disk is full"));
    await expect(cleanupAll(domain)).rejects.toThrow(WritesRefusedError);
    store.commit = commit;
    expect(await cleanupAll(domain)).toMatchObject({ scanned: 10, changed: 10 });
  });

  test("a shutdown ends the call between two sessions", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "a");
    domain.now += day;
    domain.shutDown();
    await expect(cleanupAll(domain)).rejects.toThrow(ShuttingDownError);
    expect((await domain.get("a")).state).toBe(SessionState.ACTIVE);
  });
});

describe("a filter that fails on a session", () => {
  test("names it and why, and nothing of the page is changed", async () => {
    await using domain = await openTestDomain();
    const levels = [1, 2, 3, "four"];
    for (const [index, level] of levels.entries()) {
      await domain.create({ session: { sessionId: `s${index}`, metadata: { level } } });
    }
    const request = { filter: "session.metadata.level > 1", action: CleanupAction.DELETE };
    const failure = await cleanupAll(domain, request).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(FilterFailedError);
    expect((failure as Error).message).toMatch(
      /^the filter cannot tell for session "s3": found no matching overload/,
    );
    expect((failure as FilterFailedError).details).toMatchObject({ session_id: "s3" });
    for (const index of levels.keys()) expect(await domain.get(`s${index}`)).toBeDefined();
  });

  test("and one that is true of a missing key counts as false", async () => {
    await using domain = await openTestDomain();
    await createEach(domain, "a");
    const filter = "session.metadata.level > 1 || session.labels.tier == 'x'";
    expect(await cleanupAll(domain, { filter })).toMatchObject({ scanned: 1, matched: 0 });
  });
});
