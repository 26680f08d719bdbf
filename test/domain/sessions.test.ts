import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  CreateSessionRequestSchema,
  DeleteSessionRequestSchema,
  EndSessionRequestSchema,
  IfExists,
  type Session,
  type SessionSchema,
  SessionState,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  EtagMismatchError,
  InvalidFieldError,
  RequestIdReusedError,
  SessionAlreadyExistsError,
  SessionEndedError,
  SessionNotFoundError,
  WritesRefusedError,
} from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../support/domain.ts";

const demo = { sessionId: "demo" };

const update = (
  { sessions }: TestDomain,
  request: MessageInitShape<typeof UpdateSessionRequestSchema>,
) => sessions.update(create(UpdateSessionRequestSchema, request));

const end = (
  { sessions }: TestDomain,
  request: MessageInitShape<typeof EndSessionRequestSchema> = demo,
) => sessions.end(create(EndSessionRequestSchema, request));

const remove = (
  { sessions }: TestDomain,
  request: MessageInitShape<typeof DeleteSessionRequestSchema> = demo,
) => sessions.delete(create(DeleteSessionRequestSchema, request));

/** Every field a caller owns. */
const full: MessageInitShape<typeof SessionSchema> = {
  ...demo,
  agentId: "agent",
  userId: "user",
  title: "Title",
  goal: "Goal",
  context: { kind: { case: "stringValue", value: "context" } },
  systemInstructions: "Be brief",
  tools: [{ name: "search", inputSchema: { type: "object" } }],
  model: "gpt-4o",
  labels: { team: "a" },
  metadata: { nested: { list: [1, null, "x"] } },
  limits: { maxSteps: 5 },
  expiry: { idleTtl: { seconds: 60n } },
  contextPolicy: { tokenBudget: 4_000, storeThinking: false },
  fingerprint: "4c314d2",
};

describe("create", () => {
  test("makes an ACTIVE session whose log begins with session_started", async () => {
    await using domain = await openTestDomain();
    const session = await domain.create({ session: full });
    expect(session).toMatchObject({
      ...full,
      namespace: "default",
      state: SessionState.ACTIVE,
      headRevision: 1,
      etag: "1",
    });
    expect(session.createTime).toEqual(session.startTime);
    expect(await domain.get("demo")).toEqual(session);
    expect(await domain.log("demo")).toMatchObject([
      { revision: 1, payload: { case: "sessionStarted", value: { agentId: "agent" } } },
    ]);
  });

  test("with a deferred start begins with the first event", async () => {
    await using domain = await openTestDomain();
    const created = await domain.create({ session: demo, deferredStart: true });
    expect(created).toMatchObject({ state: SessionState.CREATED, headRevision: 0 });
    expect(created.startTime).toBeUndefined();
    domain.now += 5_000;
    await domain.append({ ...demo, events: [userText("hi")] });
    const started = await domain.get("demo");
    expect(started).toMatchObject({ state: SessionState.ACTIVE, headRevision: 2 });
    expect(started.startTime?.seconds).toBe((started.createTime?.seconds ?? 0n) + 5n);
    expect((await domain.log("demo"))[0]?.payload.case).toBe("sessionStarted");
  });

  test("gives a name where none is given, another one each time", async () => {
    await using domain = await openTestDomain();
    const sessions = await Promise.all(Array.from({ length: 20 }, () => domain.create({})));
    const names = sessions.map(({ sessionId }) => sessionId);
    expect(new Set(names).size).toBe(20);
    for (const name of names) expect(name).toMatch(/^session-20300101-000000-[0-9a-f]{8}$/);
  });

  test("Idempotent: a repeated request for a generated name gets the first one", async () => {
    await using domain = await openTestDomain();
    const request = { requestId: "r", session: { title: "unnamed" } };
    const [first, twin] = await Promise.all([domain.create(request), domain.create(request)]);
    domain.now += 1_000;
    expect(twin.sessionId).toBe(first.sessionId);
    expect((await domain.create(request)).sessionId).toBe(first.sessionId);
    await expect(domain.create({ ...request, deferredStart: true })).rejects.toThrow(
      RequestIdReusedError,
    );
  });

  test("of a name that is taken fails, unless the session may be returned", async () => {
    await using domain = await openTestDomain();
    const session = await domain.create({ session: { ...demo, fingerprint: "a" } });
    await expect(domain.create({ session: demo })).rejects.toThrow(SessionAlreadyExistsError);
    const again = { session: { ...demo, title: "other" }, ifExists: IfExists.RETURN };
    expect(await domain.create(again)).toEqual(session);
    expect(await domain.create({ ...again, ifExists: IfExists.RENEW })).toEqual(session);
  });

  test.each([
    ["a", false],
    ["", false],
    ["b", true],
  ])("says whether a fingerprint changed: %j", async (fingerprint, changed) => {
    await using domain = await openTestDomain();
    await domain.create({ session: { ...demo, fingerprint: "a" } });
    const request = create(CreateSessionRequestSchema, {
      session: { ...demo, fingerprint },
      ifExists: IfExists.RETURN,
    });
    expect(await domain.sessions.create(request)).toMatchObject({
      created: false,
      fingerprintChanged: changed,
    });
  });

  test("of racing requests for one name exactly one creates it", async () => {
    await using domain = await openTestDomain();
    const creates = Array.from({ length: 8 }, (_, i) =>
      domain.create({ session: { ...demo, title: `${i}` } }),
    );
    const outcomes = await Promise.allSettled(creates);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await domain.log("demo")).toHaveLength(1);
  });

  test("of a session whose fields are too large together names the limit", async () => {
    await using domain = await openTestDomain();
    const tools = Array.from({ length: 100 }, (_, i) => ({
      name: `t${i}`,
      description: "x".repeat(16_000),
    }));
    await expect(domain.create({ session: { ...demo, tools } })).rejects.toThrow("1048576");
    await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
  });

  test("keeps namespaces apart", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { ...demo, namespace: "a" } });
    await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
    const other = await domain.create({ session: demo });
    expect(other.namespace).toBe("default");
  });
});

describe("update", () => {
  test("changes the fields of the mask and no others", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: full });
    const { session } = await update(domain, {
      session: { ...demo, title: "New", goal: "ignored" },
      updateMask: { paths: ["title", "metadata", "limits"] },
    });
    const { metadata: _metadata, limits: _limits, ...kept } = full;
    expect(session).toMatchObject({ ...kept, title: "New", etag: "2" });
    expect(session?.metadata).toBeUndefined();
    expect(session?.limits).toBeUndefined();
    expect(await domain.get("demo")).toEqual(session);
  });

  test("without a mask changes what is set", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: full });
    const { session } = await update(domain, { session: { ...demo, title: "New", labels: {} } });
    expect(session).toMatchObject({ ...full, title: "New" });
  });

  test("takes a whole session that was read before, and ignores what the server owns", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: full });
    await domain.append({ ...demo, events: [userText("hi")] });
    const read = await domain.get("demo");
    const changed: Session = { ...read, title: "New" };
    domain.now += 1_000;
    const { session } = await update(domain, { session: changed });
    expect(session).toEqual({
      ...read,
      title: "New",
      etag: "2",
      updateTime: session?.updateTime,
    });
    expect(session?.updateTime?.seconds).toBe((read.updateTime?.seconds ?? 0n) + 1n);
  });

  test("of a session somebody changed since it was read fails", async () => {
    await using domain = await openTestDomain();
    const read = await domain.create({ session: demo });
    await update(domain, { session: { ...read, title: "first" } });
    const second = update(domain, { session: { ...read, title: "second" } });
    await expect(second).rejects.toThrow(EtagMismatchError);
    expect(await domain.get("demo")).toMatchObject({ title: "first", etag: "2" });
  });

  test("of racing updates that read the same etag exactly one wins", async () => {
    await using domain = await openTestDomain();
    const read = await domain.create({ session: demo });
    const updates = Array.from({ length: 8 }, (_, i) =>
      update(domain, { session: { ...read, title: `${i}` } }),
    );
    const outcomes = await Promise.allSettled(updates);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await domain.get("demo")).etag).toBe("2");
  });

  test("is not in the way of appends, which change no etag", async () => {
    await using domain = await openTestDomain();
    const read = await domain.create({ session: demo });
    await domain.append({ ...demo, events: [userText("hi")] });
    const { session } = await update(domain, { session: { ...read, title: "New" } });
    expect(session).toMatchObject({ title: "New", headRevision: 2, etag: "2" });
  });

  test("with an etag that is none says so shortly, whatever its length", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: demo });
    const etag = "x".repeat(1_000_000);
    const refused = update(domain, { session: { ...demo, title: "x", etag } });
    await expect(refused).rejects.toThrow(InvalidFieldError);
    await expect(refused).rejects.toThrow(/^session\.etag.{1,100}$/);
  });

  test("moves the time at which the session expires", async () => {
    await using domain = await openTestDomain();
    const { createTime } = await domain.create({ session: demo });
    const { session } = await update(domain, {
      session: { ...demo, expiry: { ttl: { seconds: 90n } } },
    });
    expect(session?.expireTime?.seconds).toBe((createTime?.seconds ?? 0n) + 90n);
    const never = await update(domain, { session: demo, updateMask: { paths: ["expiry"] } });
    expect(never.session?.expireTime).toBeUndefined();
  });
});

describe("end", () => {
  test("appends session_ended and sets the end", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { ...demo, expiry: { ttl: { seconds: 5n } } } });
    domain.now += 1_000;
    const details = { reason: "broken", errorCode: "E1", errorMessage: "it broke" };
    const answer = await end(domain, { ...demo, state: SessionState.FAILED, end: details });
    expect(answer).toMatchObject({
      ended: true,
      session: { state: SessionState.FAILED, end: details, headRevision: 2 },
    });
    expect(answer.session?.endTime?.seconds).toBe(BigInt(domain.now / 1_000));
    expect(answer.session?.expireTime).toBeUndefined();
    expect((await domain.log("demo"))[1]?.payload).toMatchObject({
      case: "sessionEnded",
      value: { state: SessionState.FAILED, end: details },
    });
  });

  test("of an ended session returns the first end and changes nothing", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: demo });
    const { session } = await end(domain, { ...demo, end: { reason: "first" } });
    domain.now += 1_000;
    const again = { ...demo, state: SessionState.FAILED, end: { reason: "second" } };
    expect(await end(domain, again)).toMatchObject({ ended: false, session: { ...session } });
    expect(await end(domain, { ...again, requestId: "r" })).toMatchObject({ ended: false });
    expect(await domain.get("demo")).toEqual(session);
    expect(await domain.log("demo")).toHaveLength(2);
  });

  test("of racing ends exactly one counts", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: demo });
    const ends = await Promise.all(
      ["a", "b", "c"].map((reason) => end(domain, { ...demo, end: { reason } })),
    );
    expect(ends.filter(({ ended }) => ended)).toHaveLength(1);
    expect(new Set(ends.map(({ session }) => session?.end?.reason)).size).toBe(1);
  });

  test("is final: what comes after it is refused", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: demo });
    const [, late] = await Promise.allSettled([
      end(domain),
      domain.append({ ...demo, events: [userText("late")] }),
    ]);
    expect(late).toMatchObject({ status: "rejected", reason: expect.any(SessionEndedError) });
  });

  test.each([SessionState.ACTIVE, SessionState.CREATED, SessionState.TIMED_OUT, 99])(
    "in state %d is refused",
    async (state) => {
      await using domain = await openTestDomain();
      await domain.create({ session: demo });
      await expect(end(domain, { ...demo, state })).rejects.toThrow(/^state: /);
    },
  );
});

describe("delete", () => {
  test("removes the session, so that its name is free for another one", async () => {
    await using domain = await openTestDomain();
    const { uid } = await domain.create({ session: full });
    expect(await remove(domain)).toMatchObject({ deleted: true });
    await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
    await expect(domain.log("demo")).rejects.toThrow(SessionNotFoundError);
    const other = await domain.create({ session: demo });
    expect(other).toMatchObject({ title: "", headRevision: 1, etag: "1" });
    expect(other.uid).not.toBe(uid);
  });

  test("leaves nothing of the session to one that an append creates under its name", async () => {
    await using domain = await openTestDomain();
    const expiry = { ttl: durationFromMs(1_000) };
    await domain.create({ session: { ...demo, userId: "ada", goal: "secret", expiry } });
    await remove(domain);
    await domain.append({ ...demo, events: [userText("hello")], createIfMissing: true });
    const { userId, goal, expiry: left } = await domain.get("demo");
    expect({ userId, goal, left }).toEqual({ userId: "", goal: "", left: undefined });
  });

  test("of a session that is not there fails, unless it may be missing", async () => {
    await using domain = await openTestDomain();
    await expect(remove(domain)).rejects.toThrow(SessionNotFoundError);
    expect(await remove(domain, { ...demo, allowMissing: true })).toMatchObject({ deleted: false });
  });

  test("Idempotent: a repeated delete gets the first answer and spares a later session", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: demo });
    const request = { ...demo, requestId: "r" };
    expect(await remove(domain, request)).toMatchObject({ deleted: true });
    await domain.create({ session: demo });
    expect(await remove(domain, request)).toMatchObject({ deleted: true });
    expect(await domain.get("demo")).toMatchObject({ headRevision: 1 });
  });

  test("follows an append under way, and takes its events along", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: demo });
    const outcomes = await Promise.allSettled([
      domain.append({ ...demo, events: [userText("hi")] }),
      remove(domain),
    ]);
    expect(outcomes[1]).toMatchObject({ status: "fulfilled", value: { deleted: true } });
    await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
    expect((await domain.create({ session: demo })).headRevision).toBe(1);
  });
});

describe("a late retry after a delete", () => {
  test("of a create does not bring the session back", async () => {
    await using domain = await openTestDomain();
    const request = { session: demo, requestId: "c" };
    const first = await domain.create(request);
    await remove(domain);
    expect(await domain.create(request)).toEqual(first);
    await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
  });

  test("of a create that found the session does not bring it back", async () => {
    await using domain = await openTestDomain();
    const first = await domain.create({ session: demo });
    const request = { session: demo, ifExists: IfExists.RETURN, requestId: "c" };
    expect(await domain.create(request)).toEqual(first);
    await remove(domain);
    expect(await domain.create(request)).toEqual(first);
    await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
  });

  test("of an append that created the session does not bring it back", async () => {
    await using domain = await openTestDomain();
    const request = { ...demo, createIfMissing: true, requestId: "a", events: [userText("hi")] };
    const first = await domain.append(request);
    await remove(domain);
    expect(await domain.append(request)).toEqual(first);
    await expect(domain.get("demo")).rejects.toThrow(SessionNotFoundError);
  });

  test("of an end spares the session that has the name now", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: demo });
    await end(domain);
    const request = { ...demo, requestId: "e" };
    expect(await end(domain, request)).toMatchObject({ ended: false });
    await remove(domain);
    await domain.create({ session: demo });
    expect(await end(domain, request)).toMatchObject({ ended: false });
    expect(await domain.get("demo")).toMatchObject({ state: SessionState.ACTIVE });
  });
});

test("where nothing can be written, a session that exists is returned all the same", async () => {
  const store = await MemoryStore.open();
  await using domain = await openTestDomain({ store });
  const session = await domain.create({ session: demo });
  store.commit = () => Promise.reject(new WritesRefusedError("the disk is full"));
  const request = { session: demo, ifExists: IfExists.RETURN, requestId: "c" };
  expect(await domain.create(request)).toEqual(session);
  await expect(domain.create({ session: { sessionId: "other" } })).rejects.toThrow("disk is full");
});

test("a session that is ended before it started has a log that begins with session_started", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: demo, deferredStart: true });
  expect(await domain.get("demo")).toMatchObject({ state: SessionState.CREATED, headRevision: 0 });
  const { session } = await end(domain);
  expect(session).toMatchObject({ state: SessionState.COMPLETED, headRevision: 2 });
  expect((await domain.log("demo")).map(({ payload }) => payload.case)).toEqual([
    "sessionStarted",
    "sessionEnded",
  ]);
});

test("Idempotent: a delete that found nothing does not delete what was created since", async () => {
  await using domain = await openTestDomain();
  const request = { ...demo, allowMissing: true, requestId: "r1" };
  expect((await remove(domain, request)).deleted).toBe(false);
  await domain.create({ session: demo });
  expect((await remove(domain, request)).deleted).toBe(false);
  expect((await domain.get("demo")).sessionId).toBe("demo");
});
