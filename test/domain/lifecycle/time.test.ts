import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SessionState, UpdateSessionRequestSchema } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { InvalidFieldError, SessionEndedError } from "../../../src/errors.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { expiryOf, kindsOf, listed, sessionId, toolCall } from "./support.ts";

const hello = { sessionId, events: [userText("hello")] };

/** A session that ends by itself a minute after its creation, and the time that is. */
async function withTimeout(domain: TestDomain): Promise<number> {
  await domain.create({
    session: { sessionId, limits: { timeout: durationFromMs(60_000) } },
  });
  return domain.now + 60_000;
}

describe("a session whose time has come", () => {
  test("has timed out to every reader at that moment, before anything is written", async () => {
    await using domain = await openTestDomain();
    const dueMs = await withTimeout(domain);
    domain.now = dueMs - 1;
    expect(await domain.get(sessionId)).toMatchObject({
      state: SessionState.ACTIVE,
      expireTime: timestampFromMs(dueMs),
    });
    domain.now = dueMs;
    const session = await domain.get(sessionId);
    expect(session).toMatchObject({
      state: SessionState.TIMED_OUT,
      endTime: timestampFromMs(dueMs),
      end: { reason: "limits.timeout passed" },
      headRevision: 1,
    });
    expect(session.expireTime).toBeUndefined();
    expect(kindsOf(await domain.log(sessionId))).toEqual(["sessionStarted"]);
    const watch = domain.watch({ sessionId });
    const { value } = await watch.next();
    await watch.return(undefined);
    expect(value?.message.value).toMatchObject({ state: SessionState.TIMED_OUT });
  });

  test("takes no events from that moment on", async () => {
    await using domain = await openTestDomain();
    const dueMs = await withTimeout(domain);
    domain.now = dueMs - 1;
    await domain.append(hello);
    domain.now = dueMs;
    await expect(domain.append(hello)).rejects.toThrow(SessionEndedError);
    await expect(domain.append(hello)).rejects.toThrow("TIMED_OUT");
  });

  test("is listed by its state, and no more as active", async () => {
    await using domain = await openTestDomain();
    const dueMs = await withTimeout(domain);
    await domain.create({ session: { sessionId: "other" } });
    expect(await listed(domain, SessionState.TIMED_OUT)).toEqual([]);
    domain.now = dueMs;
    expect(await listed(domain, SessionState.ACTIVE)).toEqual(["other"]);
    expect(await listed(domain, SessionState.TIMED_OUT)).toEqual([sessionId]);
    await domain.sweeper.sweep();
    expect(await listed(domain, SessionState.ACTIVE)).toEqual(["other"]);
    expect(await listed(domain, SessionState.TIMED_OUT)).toEqual([sessionId]);
  });

  test("looks the same before and after the sweep but for its log", async () => {
    await using domain = await openTestDomain();
    const dueMs = await withTimeout(domain);
    await domain.append({ sessionId, events: [toolCall("c1")] });
    domain.now = dueMs + 5_000;
    const before = await domain.get(sessionId);
    await domain.sweeper.sweep();
    const after = await domain.get(sessionId);
    const { headRevision, lastActivityTime, metrics, ...same } = after;
    expect(before).toMatchObject(same);
    expect(headRevision).toBe(before.headRevision + 1);
    expect(lastActivityTime).toEqual(timestampFromMs(dueMs));
    expect(metrics?.events).toBe(headRevision);
    const log = await domain.log(sessionId);
    expect(kindsOf(log)).toEqual(["sessionStarted", "toolCall", "sessionEnded"]);
    expect(log.at(-1)?.createTime).toEqual(timestampFromMs(dueMs));
  });

  test("can still be updated, with the etag that a reader saw, and stays as it ended", async () => {
    await using domain = await openTestDomain();
    domain.now = await withTimeout(domain);
    const { etag, endTime } = await domain.get(sessionId);
    const request = create(UpdateSessionRequestSchema, {
      session: { sessionId, title: "afterwards", etag },
    });
    const { session } = await domain.sessions.update(request);
    expect(session).toMatchObject({ title: "afterwards", state: SessionState.TIMED_OUT, endTime });
    expect(kindsOf(await domain.log(sessionId))).toEqual(["sessionStarted", "sessionEnded"]);
  });
});

describe("expiry", () => {
  test("slides with every event when it is that of idle sessions", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, expiry: expiryOf({ idleTtl: 1_000 }) } });
    for (let i = 0; i < 3; i++) {
      domain.now += 999;
      await domain.append(hello);
      await domain.sweeper.sweep();
    }
    const lastMs = domain.now;
    domain.now += 999;
    expect((await domain.get(sessionId)).state).toBe(SessionState.ACTIVE);
    domain.now += 1;
    expect(await domain.get(sessionId)).toMatchObject({
      state: SessionState.EXPIRED,
      endTime: timestampFromMs(lastMs + 1_000),
    });
  });

  test("after the time to live comes however busy a session is", async () => {
    await using domain = await openTestDomain();
    const startMs = domain.now;
    const expiry = expiryOf({ idleTtl: 600, ttl: 1_000 });
    await domain.create({ session: { sessionId, expiry } });
    domain.now += 500;
    await domain.append(hello);
    domain.now += 499;
    await domain.append(hello);
    domain.now += 1;
    await expect(domain.append(hello)).rejects.toThrow(SessionEndedError);
    expect(await domain.get(sessionId)).toMatchObject({
      state: SessionState.EXPIRED,
      endTime: timestampFromMs(startMs + 1_000),
      end: { reason: "expiry.ttl passed" },
    });
  });

  test("comes to a session that was never started, with a start in its log", async () => {
    await using domain = await openTestDomain();
    await domain.create({
      session: { sessionId, expiry: expiryOf({ ttl: 1_000 }) },
      deferredStart: true,
    });
    domain.now += 1_000;
    await domain.sweeper.sweep();
    expect(kindsOf(await domain.log(sessionId))).toEqual(["sessionStarted", "sessionEnded"]);
  });

  test("of the preset `terminal` is 45 minutes without an event", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, preset: "terminal" } });
    domain.now += 45 * 60_000 - 1;
    expect((await domain.get(sessionId)).state).toBe(SessionState.ACTIVE);
    domain.now += 1;
    expect((await domain.get(sessionId)).state).toBe(SessionState.EXPIRED);
  });
});

test("an update that would have ended the session by now is refused, naming the field", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId } });
  domain.now += 5_000;
  const timeout = create(UpdateSessionRequestSchema, {
    session: { sessionId, limits: { timeout: durationFromMs(5_000) } },
  });
  const error = await domain.sessions.update(timeout).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(InvalidFieldError);
  expect(error).toMatchObject({ details: { field: "session.limits.timeout" } });
  expect((await domain.get(sessionId)).state).toBe(SessionState.ACTIVE);
});
