import {
  InvalidFieldError,
  RequestIdReusedError,
  RevisionOutOfRangeError,
  type Session,
  SessionAlreadyExistsError,
  Sessiond,
  SessionNotFoundError,
} from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let session: Session;
let namespaces = 0;

beforeAll(async () => {
  server = await startInMemory();
});

/** Every test has a namespace to itself, and a session of four events in it. */
beforeEach(async () => {
  sessiond = new Sessiond({ address: server.address, namespace: `test-${++namespaces}` });
  session = await sessiond.sessions.create({
    sessionId: "trip",
    agentId: "travel",
    title: "Japan",
    metadata: { tier: "gold" },
    limits: { maxSteps: 9 },
  });
  for (const text of ["by plane", "by ship", "on foot"]) {
    await session.append({ role: "user", text });
  }
});

afterEach(() => sessiond.close());

afterAll(() => server.stop());

const textsOf = async (of: Session) => {
  const events = await collect(of.events());
  return events.map(({ type, text }) => text || type);
};

test("a fork shares the log up to its revision, and each goes on by itself", async () => {
  const fork = await session.fork({ revision: 3, sessionId: "trip-2" });
  expect(fork).toMatchObject({
    sessionId: "trip-2",
    namespace: session.namespace,
    created: true,
    state: "active",
    headRevision: 4,
    parent: { sessionId: "trip", revision: 3, kind: "fork" },
  });
  expect(session.parent).toBeUndefined();
  await fork.append({ role: "user", text: "by train" });
  await session.append({ role: "user", text: "by bus" });
  expect(await textsOf(fork)).toEqual([
    "sessionStarted",
    "by plane",
    "by ship",
    "forked",
    "by train",
  ]);
  expect(await textsOf(session)).toEqual([
    "sessionStarted",
    "by plane",
    "by ship",
    "on foot",
    "by bus",
  ]);
});

test("without a revision it begins at the parent's newest, whatever the handle has seen", async () => {
  const other = await sessiond.sessions.get("trip");
  await other.append({ role: "user", text: "by bus" });
  const fork = await session.fork();
  const { uid } = session;
  expect(fork.parent).toEqual({ sessionId: "trip", uid, revision: 5, kind: "fork" });
  expect(fork.sessionId).not.toBe("");
});

test("a fork goes on when its parent is deleted, and so does a fork of it", async () => {
  const fork = await session.fork({ revision: 3 });
  await session.delete();
  await fork.append({ role: "user", text: "by train" });
  const next = await fork.fork({ revision: 2 });
  await fork.delete();
  expect(await textsOf(next)).toEqual(["sessionStarted", "by plane", "forked"]);
  const { sessionId, uid } = fork;
  expect(next.parent).toEqual({ sessionId, uid, revision: 2, kind: "fork" });
});

test("its windows and messages are made of what it shares and what is its own", async () => {
  const fork = await session.fork({ revision: 3 });
  await fork.append({ role: "user", text: "by train" });
  const { items } = await fork.contextWindow();
  expect(items.map(({ event }) => event.text)).toEqual(["by plane", "by ship", "by train"]);
  const messages = await fork.messages("openai-chat");
  expect(messages.map(({ content }) => content)).toEqual(["by plane", "by ship", "by train"]);
});

test("Ordered, Unique, Gapless: a watch of it begins with what it inherits", async () => {
  const fork = await session.fork({ revision: 3 });
  const watch = fork.watch({ untilEnded: true });
  const watched = collect(watch);
  await fork.append({ role: "user", text: "by train" });
  await fork.end();
  const events = await watched;
  expect(events.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(events.map(({ message }) => message)).toEqual(
    (await collect(fork.events())).map(({ message }) => message),
  );
});

test("fields given replace those of the parent; the others stay", async () => {
  const fork = await session.fork({
    title: "Japan by train",
    metadata: { tier: "trial" },
    limits: { maxSteps: 2, timeoutMs: 60_000 },
    labels: { team: "a" },
  });
  expect(fork.message).toMatchObject({
    agentId: "travel",
    title: "Japan by train",
    metadata: { tier: "trial" },
    limits: { maxSteps: 2, timeout: { seconds: 60n } },
    labels: { team: "a" },
  });
  expect((await session.refresh()).title).toBe("Japan");
});

test("Idempotent: a fork repeated with its request id is the same fork", async () => {
  const fork = await session.fork({ revision: 2 }, { requestId: "f" });
  const again = await session.fork({ revision: 2 }, { requestId: "f" });
  expect(again.message).toEqual(fork.message);
  await expect(session.fork({ revision: 3 }, { requestId: "f" })).rejects.toBeInstanceOf(
    RequestIdReusedError,
  );
  expect(await collect(sessiond.sessions.list())).toHaveLength(2);
});

test("an ended session can be forked, and the fork is active", async () => {
  await session.end();
  const fork = await session.fork();
  expect(fork.state).toBe("active");
  await fork.append({ role: "user", text: "one more thing" });
});

test("errors have their classes, and say what to do", async () => {
  const beyond = session.fork({ revision: 5 });
  await expect(beyond).rejects.toBeInstanceOf(RevisionOutOfRangeError);
  await expect(beyond).rejects.toMatchObject({ sessionId: "trip", revision: 5, headRevision: 4 });
  await expect(beyond).rejects.toThrow("4");
  const taken = session.fork({ sessionId: "trip" });
  await expect(taken).rejects.toBeInstanceOf(SessionAlreadyExistsError);
  const long = session.fork({ sessionId: "x".repeat(201) });
  await expect(long).rejects.toBeInstanceOf(InvalidFieldError);
  await session.delete();
  await expect(session.fork()).rejects.toBeInstanceOf(SessionNotFoundError);
  expect(session.hasEnded).toBe(true);
  expect(await collect(sessiond.sessions.list())).toEqual([]);
});
