import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Session,
  SessionDeletedError,
  Sessiond,
  SessionEndedError,
  SessionNotFoundError,
  temporarySession,
  UsageError,
  userSession,
} from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let other: Sessiond;
let session: Session;
/** What the clients and the server take for the time. */
let nowMs: number;
let namespaces = 0;

beforeAll(async () => {
  nowMs = Date.parse("2026-11-20T12:00:00Z");
  server = await startInMemory({ clock: () => nowMs });
});

/** Every test has a namespace to itself, and two clients. */
beforeEach(async () => {
  const namespace = `test-${++namespaces}`;
  const environment = { now: () => nowMs };
  sessiond = new Sessiond({ address: server.address, namespace, environment });
  other = new Sessiond({ address: server.address, namespace, environment });
  session = await sessiond.sessions.create({ sessionId: "user-42" });
});

afterEach(() => {
  sessiond.close();
  other.close();
});

afterAll(() => server.stop());

/** The reason a signal fires with. */
function fired(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}

/** A stream that breaks behind its first message. */
async function* breaking<T>(messages: AsyncIterable<T>, onBreak: () => void): AsyncGenerator<T> {
  for await (const message of messages) {
    yield message;
    break;
  }
  onBreak();
  throw new ConnectError("connection lost", Code.Unavailable);
}

describe("cancel", () => {
  test("ends the session with its reason, closes its open calls, and once", async () => {
    await session.append({ toolCall: { callId: "c1", name: "flights" } });
    expect(await session.cancel({ reason: "user left" })).toBe(true);
    expect(session.state).toBe("cancelled");
    expect(session.message.end?.reason).toBe("user left");
    expect(await session.cancel({ reason: "again" })).toBe(false);
    expect(session.message.end?.reason).toBe("user left");
    const events = await collect(session.events());
    expect(events.map(({ type }) => type)).toEqual([
      "sessionStarted",
      "toolCall",
      "toolResult",
      "sessionEnded",
    ]);
    const late = session.append({ role: "user", text: "Hello?" });
    await expect(late).rejects.toBeInstanceOf(SessionEndedError);
  });

  test("Idempotent: repeated with its request id says again what the first call did", async () => {
    expect(await session.cancel({ requestId: "r1" })).toBe(true);
    expect(await session.cancel({ requestId: "r1" })).toBe(true);
    expect(await session.cancel()).toBe(false);
  });
});

describe("the signal of a session", () => {
  test("fires in every client that holds the session, with what ended it", async () => {
    const held = await other.sessions.get("user-42");
    const signals = [session.signal, held.signal, (await sessiond.sessions.get("user-42")).signal];
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false]);
    await held.cancel({ reason: "user left" });
    for (const reason of await Promise.all(signals.map(fired))) {
      expect(reason).toBeInstanceOf(SessionEndedError);
      expect(reason).toMatchObject({
        state: "CANCELLED",
        reason: "SESSION_ENDED",
        sessionId: "user-42",
        message: 'session "user-42" ended as CANCELLED: user left',
      });
    }
  });

  test("fires however the session ends", async () => {
    for (const state of ["completed", "failed", "expired"] as const) {
      const ending = await sessiond.sessions.create({ sessionId: state });
      const reason = fired(ending.signal);
      await (await other.sessions.get(state)).end({ state });
      expect(await reason).toMatchObject({ state: state.toUpperCase() });
    }
  });

  test("fires at once for a session that has ended, and for one that is deleted", async () => {
    await (await other.sessions.get("user-42")).cancel({ reason: "user left" });
    expect(await fired(session.signal)).toMatchObject({ state: "CANCELLED" });
    const deleted = await sessiond.sessions.create({ sessionId: "deleted" });
    const reason = fired(deleted.signal);
    await other.sessions.delete("deleted");
    const gone = await reason;
    expect(gone instanceof SessionDeletedError || gone instanceof SessionNotFoundError).toBe(true);
  });

  test("is one signal until the session is reopened, and then another", async () => {
    const { signal } = session;
    expect(session.signal).toBe(signal);
    await session.cancel();
    await fired(signal);
    expect(session.signal).toBe(signal);
    expect(await session.reopen({ reason: "one more question" })).toBe(true);
    expect(await session.reopen()).toBe(false);
    expect(session.state).toBe("active");
    expect(session.signal).not.toBe(signal);
    expect(session.signal.aborted).toBe(false);
    const reason = fired(session.signal);
    await session.append({ role: "user", text: "Hello" });
    await session.end();
    expect(await reason).toMatchObject({ state: "COMPLETED" });
  });

  test("is not fired by a client that goes away, nor by its own client's end", async () => {
    const held = await other.sessions.get("user-42");
    const ownSignal = held.signal;
    const { signal } = session;
    other.close();
    await session.append({ role: "user", text: "Hello" });
    expect(session.state).toBe("active");
    expect([signal.aborted, ownSignal.aborted]).toEqual([false, false]);
  });

  test("Resumable: fires for an end during a break, and not for the break itself", async () => {
    const { address, namespace } = sessiond;
    const broken = Promise.withResolvers<void>();
    const isBack = Promise.withResolvers<void>();
    let streams = 0;
    await using shaky = new Sessiond({
      address,
      namespace,
      retry: { attempts: 1, watchAttempts: 1 },
      environment: { sleep: () => isBack.promise },
      interceptors: [
        (next) => async (req) => {
          const response = await next(req);
          if (!response.stream || ++streams > 1) return response;
          return { ...response, message: breaking(response.message, broken.resolve) };
        },
      ],
    });
    const { signal } = await shaky.sessions.get("user-42");
    await broken.promise;
    await session.cancel({ reason: "user left" });
    expect(signal.aborted).toBe(false);
    isBack.resolve();
    expect(await fired(signal)).toMatchObject({ state: "CANCELLED" });
    expect(streams).toBe(2);
  });

  test("holds no watch open before it is asked for, nor after close()", async () => {
    const open: AbortSignal[] = [];
    const opened = Promise.withResolvers<void>();
    const { address, namespace } = sessiond;
    await using counting = new Sessiond({
      address,
      namespace,
      interceptors: [
        (next) => async (req) => {
          const response = await next(req);
          if (req.stream) open.push(req.signal);
          if (req.stream) opened.resolve();
          return response;
        },
      ],
    });
    const held = await counting.sessions.get("user-42");
    await held.append({ role: "user", text: "Hello" });
    expect(open).toEqual([]);
    const { signal } = held;
    await opened.promise;
    held.close();
    expect(open.map(({ aborted }) => aborted)).toEqual([true]);
    await session.cancel();
    await fired(held.signal);
    expect(signal.aborted).toBe(false);
  });
});

describe("isExpired", () => {
  test("says whether a session has been idle for too long", async () => {
    expect(await session.isExpired({ maxIdleMs: 1_800_000 })).toBe(false);
    nowMs += 1_800_001;
    expect(await session.isExpired({ maxIdleMs: 1_800_000 })).toBe(true);
    expect(await session.isExpired()).toBe(false);
    await session.append({ role: "user", text: "Hello" });
    expect(await session.isExpired({ maxIdleMs: 1_800_000 })).toBe(false);
  });

  test("says so of a session whose own expiry has passed, and not of one that ended", async () => {
    const idle = await sessiond.sessions.create({ expiry: { idleTtlMs: 60_000 } });
    nowMs += 60_000;
    expect(await idle.isExpired()).toBe(true);
    await session.end();
    nowMs += 60_000;
    expect(await session.isExpired({ maxIdleMs: 1 })).toBe(false);
  });
});

describe("recordRequest", () => {
  test("Accounted: counts a request, its time, its error, or each of them alone", async () => {
    await session.recordRequest({ processingTimeMs: 1_500 });
    await session.recordRequest({ count: false, error: { code: "E", message: "no flights" } });
    await session.recordRequest({ count: false, processingTimeMs: 500 });
    const { revision, requests } = await session.recordRequest();
    expect(revision).toBe(session.headRevision);
    expect(requests).toEqual({
      count: 2,
      errors: 1,
      errorRate: 0.5,
      processingTimeMs: 2_000,
      averageProcessingTimeMs: 1_000,
    });
    expect((await session.recordRequest({ error: true })).requests).toMatchObject({ errors: 2 });
  });

  test("tells of a health policy that warns, and that ends the session", async () => {
    await session.update({ healthPolicy: { warnErrors: 1, failErrorRate: 0.5, minRequests: 3 } });
    const signs = [true, undefined, true] as const;
    const answers = [];
    for (const error of signs) answers.push(await session.recordRequest({ error }));
    expect(answers.map(({ hints, state }) => [...hints.map(({ code }) => code), state])).toEqual([
      ["active"],
      ["active"],
      ["many_errors", "failed"],
    ]);
    await session.refresh();
    expect(session.message.end?.errorCode).toBe("error_rate");
  });
});

describe("ids of sessions", () => {
  test("are the same for the same user, device, app or type", () => {
    expect(userSession("7")).toBe("user-7");
    expect(userSession("7", { device: "phone" })).toBe("user-7-device-phone");
    expect(userSession("7", { app: "web" })).toBe("user-7-app-web");
    expect(userSession("7", { type: "support" })).toBe("7:support");
  });

  test("are refused without a name", () => {
    expect(() => userSession("")).toThrow(UsageError);
    expect(() => userSession("7", { device: "" })).toThrow(UsageError);
  });

  test("are fresh for what is temporary", () => {
    expect(temporarySession()).toMatch(/^temp-[0-9a-f-]{36}$/);
    expect(temporarySession()).not.toBe(temporarySession());
  });
});
