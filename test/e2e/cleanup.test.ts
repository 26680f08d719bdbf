import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { CleanupAction, MetricsService, SessionService, SessionState } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { type Door, doors, engines, openTestApp, type TestApp } from "../support/app.ts";

const { createSession, getSession, listSessions } = SessionService.method;
const { cleanupSessions, deleteUserData } = SessionService.method;
const { recordRequest } = MetricsService.method;
const minute = 60_000;

/** Calls through one of the doors that are not refused. */
function caller(app: TestApp, door: Door) {
  return async <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> => {
    const answer = await app.call(door, method, create(method.input, request));
    if (!answer.ok) throw new Error(`${method.name}: ${answer.message}`);
    return answer.value;
  };
}

describe.each(engines)("on the %s store", (store) => {
  describe.each(doors)("over %s", (door) => {
    test("idle, failing and old sessions go, others stay", async () => {
      let now = Date.UTC(2030, 0, 1);
      await using app = await openTestApp({ store, overrides: { clock: () => now } });
      const call = caller(app, door);
      for (const sessionId of ["old", "failing", "busy"]) {
        await call(createSession, { session: { sessionId, labels: { name: sessionId } } });
        now += 20 * minute;
      }
      await call(recordRequest, { sessionId: "failing", error: { code: "tool" } });
      await call(recordRequest, { sessionId: "busy" });

      const dryRun = await call(cleanupSessions, { dryRun: true });
      expect(dryRun).toMatchObject({ scanned: 2, matched: 1, changed: 0, nextPageToken: "" });
      expect(dryRun.sessions).toMatchObject([{ sessionId: "old", why: "idle for 1 h" }]);
      expect(await call(cleanupSessions, {})).toMatchObject({ matched: 1, changed: 1 });
      expect(await call(cleanupSessions, {})).toMatchObject({ matched: 0, changed: 0 });

      const failing = { minErrorRate: 0.5, action: CleanupAction.FAIL };
      expect((await call(cleanupSessions, failing)).sessions).toMatchObject([
        { sessionId: "failing", why: "1 of 1 requests failed", changed: true },
      ]);
      const found = await call(listSessions, {
        filter: 'session.error_code == "cleanup" || session.state == "expired"',
      });
      expect(found.sessions.map(({ sessionId, state }) => [sessionId, state])).toEqual([
        ["failing", SessionState.FAILED],
        ["old", SessionState.EXPIRED],
      ]);

      const old = { age: durationFromMs(30 * minute), action: CleanupAction.DELETE };
      const filter = 'session.labels.name != "busy"';
      expect(await call(cleanupSessions, { ...old, filter })).toMatchObject({ changed: 2 });
      const { sessions } = await call(listSessions, {});
      expect(sessions.map(({ sessionId }) => sessionId)).toEqual(["busy"]);
    });

    test("pages of a filtered list go on only with the same filter", async () => {
      await using app = await openTestApp({ store });
      const call = caller(app, door);
      for (let i = 0; i < 5; i++) {
        await call(createSession, { session: { labels: i % 2 === 0 ? { even: "yes" } : {} } });
      }
      const filter = 'session.labels.even == "yes"';
      const first = await call(listSessions, { filter, pageSize: 2 });
      expect(first.sessions).toHaveLength(2);
      const { nextPageToken: pageToken } = first;
      expect((await call(listSessions, { filter, pageToken })).sessions).toHaveLength(1);
      const request = create(listSessions.input, { filter: "true", pageToken });
      expect(await app.call(door, listSessions, request)).toMatchObject({
        ok: false,
        reason: "PAGE_TOKEN_INVALID",
      });
    });

    test("the data of a user is gone, also after a restart", async () => {
      await using app = await openTestApp({ store });
      const call = caller(app, door);
      for (const [sessionId, userId] of Object.entries({ a: "ann", b: "ann", c: "bob" })) {
        await call(createSession, { session: { sessionId, userId } });
      }
      expect(await call(deleteUserData, { userId: "ann" })).toMatchObject({
        matched: 2,
        deleted: 2,
        failed: 0,
        more: false,
        forks: [],
      });
      if (store === "lmdb") await app.restart();
      const gone = await app.call(door, getSession, create(getSession.input, { sessionId: "a" }));
      expect(gone).toMatchObject({ ok: false, reason: "SESSION_NOT_FOUND" });
      if (store === "lmdb") await call(getSession, { sessionId: "c" });
    });
  });
});

describe("Bounded: a filter of many steps over many sessions", () => {
  // Just below what one evaluation may take, so that it fails on none of them.
  const rounds = 'session.metadata.list.all(x, x + "a" != "b" && x + "c" != "d")';
  const metadata = { list: Array.from({ length: 1_500 }, (_, index) => `word ${index}`) };

  test("makes short pages, and other calls are served meanwhile", async () => {
    await using app = await openTestApp();
    const call = caller(app, "gRPC");
    const created = Array.from({ length: 300 }, (_, index) =>
      call(createSession, { session: { sessionId: `s${index}`, metadata } }),
    );
    await Promise.all(created);

    let scanned = 0;
    let pages = 0;
    let served = 0;
    let pageToken = "";
    do {
      const request = { filter: rounds, dryRun: true, pageToken };
      const page = call(cleanupSessions, request);
      let isOver = false;
      const over = page.finally(() => {
        isOver = true;
      });
      while (!isOver) {
        await call(getSession, { sessionId: "s0" });
        served += 1;
      }
      const answer = await over;
      expect(answer.matched).toBe(answer.scanned);
      scanned += answer.scanned;
      pages += 1;
      pageToken = answer.nextPageToken;
    } while (pageToken !== "");
    expect(scanned).toBe(300);
    expect(pages).toBeGreaterThan(1);
    expect(served).toBeGreaterThan(3 * pages);
  }, 60_000);

  test("that fails at once is named at once", async () => {
    await using app = await openTestApp();
    const call = caller(app, "gRPC");
    await call(createSession, { session: { sessionId: "bomb", metadata } });
    const filter = "session.metadata.list.all(x, session.metadata == session.metadata)";
    for (const ask of [
      () => app.call("gRPC", cleanupSessions, create(cleanupSessions.input, { filter })),
      () => app.call("JSON", listSessions, create(listSessions.input, { filter })),
    ]) {
      const startMs = performance.now();
      const answer = await ask();
      expect(performance.now() - startMs).toBeLessThan(2_000);
      expect(answer).toMatchObject({
        ok: false,
        code: "InvalidArgument",
        reason: "FILTER_FAILED",
        message: expect.stringContaining('"bomb": it takes more than 65536 steps'),
      });
    }
  });
});
