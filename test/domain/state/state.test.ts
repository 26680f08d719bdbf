import { create, type JsonObject } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  Durability,
  IfExists,
  SessionState,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  EtagMismatchError,
  InvalidFieldError,
  RequestIdReusedError,
  SessionEndedError,
  SessionNotFoundError,
  StateTooLargeError,
  WritesRefusedError,
} from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { nested } from "../../support/arbitraries.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { cancel, expiryOf, kindsOf, reopen } from "../lifecycle/support.ts";
import { getState, holding, patch, recorded, seen, sessionId } from "./support.ts";

const create1 = (domain: TestDomain, id = sessionId, userId = "u", namespace = "") =>
  domain.create({ session: { sessionId: id, userId, namespace } });

const remove = (domain: TestDomain, id = sessionId) =>
  domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: id }));

describe("a patch", () => {
  test("changes keys of every scope, answers with all of them, and is an event", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    const values = { theme: "dark", "user:locale": "de", "app:version": 2, "temp:token": "t" };
    const answer = await patch(domain, values);
    expect(answer).toMatchObject({ revision: 2, durability: Durability.NOT_DURABLE });
    expect(answer.state).toEqual(values);
    const { "temp:token": _, ...stored } = values;
    expect(await seen(domain)).toEqual(stored);
    const log = await domain.log(sessionId);
    expect(kindsOf(log)).toEqual(["sessionStarted", "stateChanged"]);
    expect(recorded(log)).toEqual([stored]);
    expect((await domain.get(sessionId)).headRevision).toBe(2);
  });

  test("replaces values whole, keeps the other keys, and removes by null", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    await patch(domain, { a: { x: 1, y: null }, b: [1, null], "user:c": 1, "app:d": 1 });
    const answer = await patch(domain, { a: { z: 2 }, "user:c": null, "app:d": null, never: null });
    expect(answer.state).toEqual({ a: { z: 2 }, b: [1, null] });
    expect(await seen(domain)).toEqual({ a: { z: 2 }, b: [1, null] });
    expect(recorded(await domain.log(sessionId)).at(-1)).toEqual({
      a: { z: 2 },
      "user:c": null,
      "app:d": null,
      never: null,
    });
  });

  test("of temporary keys, or of nothing, appends nothing and starts nothing", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId }, deferredStart: true });
    const { etag } = await getState(domain);
    for (const values of [{}, { "temp:a": 1, "temp:b": null }]) {
      const answer = await patch(domain, values, {
        requestId: JSON.stringify(Object.keys(values)),
      });
      expect(answer).toMatchObject({ revision: 0, etag });
    }
    expect((await domain.state.patch({ ...withoutPatch(), sessionId })).state).toEqual({});
    expect(await domain.get(sessionId)).toMatchObject({ state: SessionState.CREATED });
    expect((await patch(domain, { a: 1 })).revision).toBe(2);
    expect(await domain.get(sessionId)).toMatchObject({ state: SessionState.ACTIVE });
  });

  test("is refused by a session that has ended, which can still be read", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, expiry: expiryOf({ ttl: 1_000 }) } });
    await patch(domain, { a: 1 });
    domain.now += 1_000;
    for (const values of [{ a: 2 }, { "app:a": 2 }, { "temp:a": 2 }, {}]) {
      await expect(patch(domain, values)).rejects.toBeInstanceOf(SessionEndedError);
    }
    expect(await seen(domain)).toEqual({ a: 1 });
  });

  test("needs a session, and a user for keys of the user", async () => {
    await using domain = await openTestDomain();
    await expect(patch(domain, { a: 1 })).rejects.toBeInstanceOf(SessionNotFoundError);
    await expect(getState(domain)).rejects.toBeInstanceOf(SessionNotFoundError);
    await domain.create({ session: { sessionId } });
    const refused = patch(domain, { a: 1, "user:locale": "de", "app:x": 1 });
    await expect(refused).rejects.toMatchObject({
      violations: [
        { field: 'patch["user:locale"]', description: expect.stringContaining("set user_id") },
      ],
    });
    expect(await seen(domain)).toEqual({});
    const session = { sessionId, userId: "u" };
    await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
    await patch(domain, { "user:locale": "de" });
    expect(await seen(domain)).toEqual({ "user:locale": "de" });
  });

  test("that is wrong in one key changes nothing at all", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    await patch(domain, { a: 1 });
    const before = await getState(domain);
    for (const values of [
      { a: 2, "user:": 1 },
      { a: 2, __proto: 1, ["__proto__"]: 1 },
      { a: 2, "app:sessiond:x": 1 },
      { a: 2, deep: nested(1, 32) },
      { a: 2, nan: Number.NaN },
      { a: 2, half: "\ud800" },
    ]) {
      await expect(patch(domain, values as JsonObject)).rejects.toBeInstanceOf(InvalidFieldError);
    }
    expect(await getState(domain)).toEqual(before);
    expect(await domain.log(sessionId)).toHaveLength(2);
    await patch(domain, { deep: nested(1, 31) });
  });
});

const withoutPatch = () => ({
  $typeName: "sessiond.v1.PatchStateRequest" as const,
  namespace: "",
  etag: "",
  requestId: "",
});

describe("a scope", () => {
  test("has 64 KiB, each by itself, and what would be more is refused whole", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    // Tag and length of an entry, its key, its value, and of the text in it.
    const most = 64 * 1024 - 4 - 3 - 4 - 4;
    const filled = (key: string, bytes: number) => ({ [key]: "x".repeat(bytes) });
    const removed = { k: null, "user:k": null, "app:k": null };
    for (const [key, scope] of [
      ["k", "session"],
      ["user:k", "user"],
      ["app:k", "app"],
      ["temp:k", "temp"],
    ] as const) {
      await patch(domain, { ...removed, ...filled(key, most) });
      const before = await getState(domain);
      const refused = patch(domain, { ...filled(key, most + 1), "app:other": 1, small: 1 });
      await expect(refused).rejects.toMatchObject({
        reason: "STATE_TOO_LARGE",
        message: expect.stringContaining(`the ${scope} scope`),
        details: { session_id: sessionId, scope, limit_bytes: "65536" },
      });
      expect(await getState(domain)).toEqual(before);
    }
    await patch(domain, filled("k", most));
    await expect(patch(domain, { another: 1 })).rejects.toBeInstanceOf(StateTooLargeError);
    await patch(domain, { another: 1, k: null });
    expect(await seen(domain)).toEqual({ another: 1 });
  });

  test("of a user and of the namespace is seen by all of theirs, and by nobody else (Isolated)", async () => {
    await using domain = await openTestDomain();
    await create1(domain, "a", "ann");
    await create1(domain, "b", "ann");
    await create1(domain, "c", "bob");
    await create1(domain, "d", "");
    await create1(domain, "a", "ann", "other");
    await patch(domain, { own: 1, "user:x": "ann's", "app:y": 2 }, { sessionId: "a" });
    await patch(domain, { "user:x": "bob's" }, { sessionId: "c" });
    expect(await seen(domain, "a")).toEqual({ own: 1, "user:x": "ann's", "app:y": 2 });
    expect(await seen(domain, "b")).toEqual({ "user:x": "ann's", "app:y": 2 });
    expect(await seen(domain, "c")).toEqual({ "user:x": "bob's", "app:y": 2 });
    expect(await seen(domain, "d")).toEqual({ "app:y": 2 });
    expect((await getState(domain, { sessionId: "a", namespace: "other" })).state).toEqual({});
    expect(recorded(await domain.log("b"))).toEqual([]);
  });

  test("of the session goes with it, the shared ones stay", async () => {
    await using domain = await openTestDomain();
    await create1(domain, "a");
    await create1(domain, "b");
    await patch(domain, { own: 1, "user:x": 1, "app:y": 1 }, { sessionId: "a" });
    await remove(domain, "a");
    await expect(getState(domain, { sessionId: "a" })).rejects.toBeInstanceOf(SessionNotFoundError);
    expect(await seen(domain, "b")).toEqual({ "user:x": 1, "app:y": 1 });
    await create1(domain, "a");
    expect(await seen(domain, "a")).toEqual({ "user:x": 1, "app:y": 1 });
  });

  test("of the session goes with it at its retention, too", async () => {
    await using domain = await openTestDomain();
    const { uid } = await domain.create({
      session: { sessionId, expiry: expiryOf({ retention: 1_000 }) },
    });
    await patch(domain, { own: 1, "app:y": 1 });
    await cancel(domain);
    domain.now += 1_000;
    await domain.sweeper.sweep();
    const namespace = "default";
    expect(await domain.store.getState({ of: "session", namespace, uid })).toBeUndefined();
    expect(await domain.store.getState({ of: "app", namespace })).toBeDefined();
  });

  test("of the session stays with a kept session, and its successor begins without", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    await patch(domain, { own: 1 });
    await cancel(domain);
    await domain.create({ session: { sessionId }, ifExists: IfExists.RENEW });
    expect(await seen(domain)).toEqual({});
    expect(await seen(domain, `${sessionId}~1`)).toEqual({ own: 1 });
    await patch(domain, { own: 2 });
    await cancel(domain);
    await reopen(domain);
    expect(await seen(domain)).toEqual({ own: 2 });
  });

  test("of a user is removed at once, for all sessions", async () => {
    await using domain = await openTestDomain();
    await create1(domain, "a");
    await create1(domain, "b");
    await patch(domain, { own: 1, "user:x": 1 }, { sessionId: "a" });
    const { etag } = await getState(domain, { sessionId: "b" });
    await Promise.all([
      domain.state.removeUser({ namespace: "default", userId: "u" }),
      domain.state.removeUser({ namespace: "default", userId: "nobody" }),
    ]);
    expect(await seen(domain, "a")).toEqual({ own: 1 });
    const again = patch(domain, { "user:x": 1 }, { sessionId: "b", etag });
    await expect(again).rejects.toBeInstanceOf(EtagMismatchError);
  });
});

describe("an etag", () => {
  test("names what a session sees, and a patch with an old one changes nothing", async () => {
    await using domain = await openTestDomain();
    await create1(domain, "a");
    await create1(domain, "b");
    const first = await getState(domain, { sessionId: "a" });
    const second = await patch(domain, { x: 1 }, { sessionId: "a", etag: first.etag });
    expect(second.etag).not.toBe(first.etag);
    expect((await getState(domain, { sessionId: "a" })).etag).toBe(second.etag);
    for (const shared of [{ "user:y": 1 }, { "app:z": 1 }]) {
      const { etag } = await getState(domain, { sessionId: "a" });
      await patch(domain, shared, { sessionId: "b" });
      const stale = patch(domain, { x: 2, "app:z": 3 }, { sessionId: "a", etag });
      await expect(stale).rejects.toMatchObject({
        reason: "ETAG_MISMATCH",
        message: expect.stringContaining('the state of session "a" was changed'),
        details: { expected: etag, actual: (await getState(domain, { sessionId: "a" })).etag },
      });
    }
    expect(await seen(domain, "a")).toEqual({ x: 1, "user:y": 1, "app:z": 1 });
    expect(await domain.log("a")).toHaveLength(2);
    await expect(patch(domain, {}, { sessionId: "a", etag: "made up" })).rejects.toBeInstanceOf(
      EtagMismatchError,
    );
  });

  test("does not come back with a value, a user or a name", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    const etags: string[] = [];
    const note = async () => etags.push((await getState(domain)).etag);
    await patch(domain, { "user:a": 1 });
    await note();
    await patch(domain, { "user:a": 2 });
    await note();
    await patch(domain, { "user:a": null });
    await patch(domain, { "user:a": 1 });
    await note();
    const session = { sessionId, userId: "v" };
    await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
    await note();
    await remove(domain);
    await create1(domain);
    await note();
    expect(new Set(etags).size).toBe(etags.length);
  });

  test("lets one of several patches at once through", async () => {
    await using domain = await openTestDomain();
    await create1(domain, "a");
    await create1(domain, "b");
    const { etag } = await patch(domain, { n: 0 }, { sessionId: "a" });
    const other = (await getState(domain, { sessionId: "b" })).etag;
    const settled = await Promise.allSettled([
      patch(domain, { n: 1 }, { sessionId: "a", etag }),
      patch(domain, { "app:n": 2 }, { sessionId: "a", etag }),
      patch(domain, { "user:n": 3 }, { sessionId: "b", etag: other }),
      patch(domain, { "app:n": 4 }, { sessionId: "b", etag: other }),
    ]);
    // The first and the third change nothing that the other's decision, made before, had to see.
    expect(settled.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "rejected",
    ]);
    expect(await seen(domain, "a")).toEqual({ n: 1, "user:n": 3 });
  });
});

describe("patches at once", () => {
  test("of different keys of one user and one namespace lose nothing", async () => {
    await using domain = await openTestDomain();
    const ids = Array.from({ length: 8 }, (_, index) => `s${index}`);
    for (const id of ids) await create1(domain, id);
    await Promise.all(
      ids.flatMap((id, index) => [
        patch(domain, { [`user:k${index}`]: index, [`app:k${index}`]: index }, { sessionId: id }),
        patch(domain, { own: index, [`user:j${index}`]: index }, { sessionId: id }),
        domain.append({ sessionId: id, events: [userText("in between")] }),
      ]),
    );
    const shared = Object.assign(
      {},
      ...ids.map((_, index) => ({
        [`user:k${index}`]: index,
        [`user:j${index}`]: index,
        [`app:k${index}`]: index,
      })),
    );
    for (const [index, id] of ids.entries()) {
      expect(await seen(domain, id)).toEqual({ own: index, ...shared });
    }
  });

  test("go on while the session of one is deleted, or changes its user", async () => {
    const control = holding(await MemoryStore.open());
    await using domain = await openTestDomain({ store: control.store });
    await create1(domain, "a");
    await create1(domain, "b");
    await create1(domain, "c");
    control.hold = true;
    const first = patch(domain, { "user:x": 1 }, { sessionId: "a" });
    await untilHeld(control, 1);
    const late = patch(domain, { "user:y": 2 }, { sessionId: "b" });
    const moved = patch(domain, { "user:z": 3 }, { sessionId: "c" });
    const lost = expect(late).rejects.toBeInstanceOf(SessionNotFoundError);
    const removed = remove(domain, "b");
    const session = { sessionId: "c", userId: "v" };
    const updated = domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
    control.hold = false;
    for (const { go } of control.held.splice(0)) go();
    await Promise.all([first, removed, updated, lost, moved]);
    expect(await seen(domain, "a")).toEqual({ "user:x": 1 });
    expect(await seen(domain, "c")).toEqual({ "user:z": 3 });
  });
});

async function untilHeld({ held }: ReturnType<typeof holding>, count: number): Promise<void> {
  while (held.length < count) await new Promise((resolve) => setImmediate(resolve));
}

describe("Durable before visible", () => {
  test("nobody sees a patch whose commit is not acknowledged, and nothing of one that fails", async () => {
    const control = holding(await MemoryStore.open());
    await using domain = await openTestDomain({ store: control.store });
    await create1(domain, "a");
    await create1(domain, "b");
    await patch(domain, { own: 1, "user:x": 1, "app:y": 1 }, { sessionId: "a" });
    const before = await Promise.all([
      getState(domain, { sessionId: "a" }),
      getState(domain, { sessionId: "b" }),
    ]);
    const now = () =>
      Promise.all([getState(domain, { sessionId: "a" }), getState(domain, { sessionId: "b" })]);

    control.hold = true;
    const refused = patch(domain, { own: 2, "user:x": 2, "app:y": 2 }, { sessionId: "a" });
    await untilHeld(control, 1);
    expect(await now()).toEqual(before);
    control.held.shift()?.fail(new WritesRefusedError("the disk is full"));
    await expect(refused).rejects.toBeInstanceOf(WritesRefusedError);
    expect(await now()).toEqual(before);

    const taken = patch(domain, { own: 3, "user:x": 3, "app:y": 3 }, { sessionId: "a" });
    await untilHeld(control, 1);
    expect(await now()).toEqual(before);
    control.held.shift()?.go();
    const answer = await taken;
    const [a, b] = await now();
    expect(a).toMatchObject({ state: answer.state, etag: answer.etag });
    expect(b?.state).toEqual({ "user:x": 3, "app:y": 3 });
    expect(await domain.log("a")).toHaveLength(3);
  });

  test("nobody misses the state of a session, or of a user, before its removal is acknowledged", async () => {
    const control = holding(await MemoryStore.open());
    await using domain = await openTestDomain({ store: control.store });
    await create1(domain, "a");
    await patch(domain, { own: 1, "user:x": 1 }, { sessionId: "a" });
    control.hold = true;
    const removed = domain.state.removeUser({ namespace: "default", userId: "u" });
    await untilHeld(control, 1);
    expect(await seen(domain, "a")).toEqual({ own: 1, "user:x": 1 });
    control.held.shift()?.go();
    await removed;
    expect(await seen(domain, "a")).toEqual({ own: 1 });

    const refused = remove(domain, "a");
    await untilHeld(control, 1);
    const during = getState(domain, { sessionId: "a" });
    control.held.shift()?.fail(new WritesRefusedError("the disk is full"));
    await expect(refused).rejects.toBeInstanceOf(WritesRefusedError);
    expect((await during).state).toEqual({ own: 1 });
  });

  test("whoever hears of a patch sees it", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    const watch = domain.watch({ sessionId });
    const found: (JsonObject | undefined)[] = [];
    const reading = (async () => {
      for await (const { message } of watch) {
        if (message.case !== "events") continue;
        for (const { payload } of message.value.events) {
          if (payload.case === "stateChanged") found.push(await seen(domain));
        }
        if (found.length > 0) return;
      }
    })();
    await patch(domain, { a: 1, "app:b": 2 });
    await reading;
    expect(found).toEqual([{ a: 1, "app:b": 2 }]);
  });
});

describe("Idempotent", () => {
  test("a repeated patch has one effect, and the first answer with the state as it is", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    const first = await patch(domain, { n: 1, "temp:t": 1 }, { requestId: "r" });
    await patch(domain, { n: 2 });
    const repeated = await patch(domain, { n: 1, "temp:t": 1 }, { requestId: "r" });
    expect(repeated).toEqual({ ...first, state: { n: 2, "temp:t": 1 } });
    expect(await seen(domain)).toEqual({ n: 2 });
    await expect(patch(domain, { n: 3 }, { requestId: "r" })).rejects.toBeInstanceOf(
      RequestIdReusedError,
    );
    const [one, two] = await Promise.all([
      patch(domain, { m: 1 }, { requestId: "twin" }),
      patch(domain, { m: 1 }, { requestId: "twin" }),
    ]);
    expect(one).toEqual(two);
    expect(recorded(await domain.log(sessionId))).toEqual([{ n: 1 }, { n: 2 }, { m: 1 }]);
  });

  test("a patch that stored nothing does not store anything later", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    const first = await patch(domain, { "temp:t": 1 }, { requestId: "r" });
    await patch(domain, { n: 1 });
    const repeated = await patch(domain, { "temp:t": 1 }, { requestId: "r" });
    expect(repeated).toEqual({ ...first, state: { n: 1, "temp:t": 1 } });
  });

  test("a patch repeated after its session was deleted has no second effect", async () => {
    await using domain = await openTestDomain();
    await create1(domain);
    const values = { n: 1, "user:x": 1, "temp:t": 1 };
    const first = await patch(domain, values, { requestId: "r" });
    await remove(domain);
    const repeated = await patch(domain, values, { requestId: "r" });
    expect(repeated).toEqual({ ...first, state: { "temp:t": 1 } });
    await expect(getState(domain)).rejects.toBeInstanceOf(SessionNotFoundError);
  });
});

test("windows leave state_changed out, and it is no step and has no tokens", async () => {
  await using domain = await openTestDomain();
  await create1(domain);
  await domain.append({ sessionId, events: [userText("hello")] });
  const before = await domain.window({ sessionId, tokenBudget: 1_000 });
  await patch(domain, { theme: "dark" });
  const after = await domain.window({ sessionId, tokenBudget: 1_000 });
  expect(after.items).toEqual(before.items);
  const { metrics } = await domain.get(sessionId);
  expect(metrics).toMatchObject({ events: 3, messages: 1, steps: 0 });
});
