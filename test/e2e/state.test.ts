import type { DescMethodUnary } from "@bufbuild/protobuf";
import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Durability, EventService, SessionService } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  type Answer,
  type Door,
  doors,
  engines,
  openTestApp,
  type TestApp,
} from "../support/app.ts";

const { createSession, deleteSession, endSession, patchState, getState } = SessionService.method;
const { listEvents } = EventService.method;
const sessionId = "demo";

/** Calls through one of the doors. */
function caller(app: TestApp, door: Door) {
  return <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<Answer<MessageShape<O>>> => app.call(door, method, create(method.input, request));
}

describe.each(engines)("on the %s store", (store) => {
  const durability = store === "lmdb" ? Durability.SYNCED : Durability.NOT_DURABLE;

  describe.each(doors)("over %s", (door) => {
    test("a state is patched, shared, refused with an old etag, and left to others", async () => {
      await using app = await openTestApp({ store });
      const call = caller(app, door);
      for (const id of [sessionId, "other"]) {
        await call(createSession, { session: { sessionId: id, userId: "ann" } });
      }
      const patch = { theme: "dark", "user:locale": "de", "app:tax": 0.19, "temp:otp": 1 };
      const patched = await call(patchState, { sessionId, patch, requestId: "r" });
      const { "temp:otp": _, ...stored } = patch;
      expect(patched).toMatchObject({ value: { revision: 2, durability, state: patch } });
      const read = await call(getState, { sessionId });
      expect(read).toMatchObject({ ok: true, value: { state: stored } });
      const etag = read.ok ? read.value.etag : "";

      const shared = { "user:locale": "fr", "app:tax": null };
      await call(patchState, { sessionId: "other", patch: shared });
      const late = await call(patchState, { sessionId, patch: { theme: null }, etag });
      expect(late).toMatchObject({ code: "Aborted", reason: "ETAG_MISMATCH" });
      expect(await call(getState, { sessionId })).toMatchObject({
        value: { state: { theme: "dark", "user:locale": "fr" } },
      });
      const repeated = await call(patchState, { sessionId, patch, requestId: "r" });
      const state = { theme: "dark", "user:locale": "fr", "temp:otp": 1 };
      expect(repeated).toEqual(patched.ok && { ok: true, value: { ...patched.value, state } });
      expect(await call(listEvents, { sessionId })).toMatchObject({
        value: { events: [{}, { payload: { case: "stateChanged", value: { patch: stored } } }] },
      });

      await call(endSession, { sessionId });
      expect(await call(patchState, { sessionId, patch: { theme: "light" } })).toMatchObject({
        reason: "SESSION_ENDED",
      });
      await call(deleteSession, { sessionId });
      expect(await call(getState, { sessionId })).toMatchObject({ reason: "SESSION_NOT_FOUND" });
      expect(await call(getState, { sessionId: "other" })).toMatchObject({
        value: { state: { "user:locale": "fr" } },
      });
    });
  });

  test("Durable before visible: a reader that is told of a patch by a watch sees it", async () => {
    await using app = await openTestApp({ store });
    const { sessions, events } = app.clients;
    await sessions.createSession({ session: { sessionId } });
    const end = new AbortController();
    const watch = events.watchEvents({ sessionId }, { signal: end.signal });
    const patches = (async () => {
      for (let n = 1; n <= 20; n++) await sessions.patchState({ sessionId, patch: { "app:n": n } });
    })();
    for await (const { message } of watch) {
      if (message.case !== "events") continue;
      const told = message.value.events.flatMap(({ payload }) =>
        payload.case === "stateChanged" ? [Number(payload.value.patch?.["app:n"])] : [],
      );
      const newest = told.at(-1);
      if (newest === undefined) continue;
      const { state } = await sessions.getState({ sessionId });
      expect(Number(state?.["app:n"])).toBeGreaterThanOrEqual(newest);
      if (newest === 20) break;
    }
    end.abort();
    await patches;
  });
});

test("Durable: a restart finds every scope, and etags stay good", async () => {
  await using app = await openTestApp({ store: "lmdb" });
  const session = { sessionId, userId: "ann" };
  await app.clients.sessions.createSession({ session });
  const patch = { own: [1, null, { deep: "x" }], "user:a": true, "app:b": "y".repeat(5_000) };
  const { etag } = await app.clients.sessions.patchState({ sessionId, patch });
  await app.restart();
  const { sessions } = app.clients;
  expect(await sessions.getState({ sessionId })).toMatchObject({ state: patch, etag });
  await sessions.patchState({ sessionId, patch: { own: null }, etag });
  expect((await sessions.getState({ sessionId })).state).not.toHaveProperty("own");
});
