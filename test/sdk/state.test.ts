import {
  EtagMismatchError,
  InvalidFieldError,
  type Session,
  Sessiond,
  SessionEndedError,
  SessionNotFoundError,
  StateTooLargeError,
  UsageError,
} from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let session: Session;
let namespaces = 0;

beforeAll(async () => {
  server = await startInMemory();
});

/** Every test has a namespace to itself. */
beforeEach(async () => {
  sessiond = new Sessiond({ address: server.address, namespace: `test-${++namespaces}` });
  session = await sessiond.sessions.create({ sessionId: "user-42", userId: "ann" });
});

afterEach(() => sessiond.close());

afterAll(() => server.stop());

test("a patch resolves to the state, advances the handle, and is read back", async () => {
  const patched = await session.patchState({
    theme: "dark",
    "user:locale": "de",
    "app:limits": { day: 5, list: [1, null] },
    "temp:otp": 123,
  });
  expect(patched).toEqual({
    theme: "dark",
    "user:locale": "de",
    "app:limits": { day: 5, list: [1, null] },
    "temp:otp": 123,
  });
  expect(session.headRevision).toBe(2);
  await session.patchState({ theme: null, draft: null });
  const other = await sessiond.sessions.get("user-42");
  expect(await other.getState()).toEqual({
    "user:locale": "de",
    "app:limits": { day: 5, list: [1, null] },
  });
  const { items } = await session.events();
  expect(items.map(({ type }) => type)).toEqual(["sessionStarted", "stateChanged", "stateChanged"]);
});

test("a patch with ifUnchanged fails if somebody changed what this handle saw", async () => {
  const other = await sessiond.sessions.get("user-42");
  await expect(session.patchState({ n: 1 }, { ifUnchanged: true })).rejects.toThrow(UsageError);
  await session.patchState({ n: 1 });
  await session.patchState({ n: 2 }, { ifUnchanged: true });
  await other.patchState({ "app:m": 1 });
  const stale = session.patchState({ n: 3 }, { ifUnchanged: true });
  await expect(stale).rejects.toBeInstanceOf(EtagMismatchError);
  await expect(session.patchState({ n: 3 }, { ifUnchanged: true })).rejects.toThrow(
    'the state of session "user-42" was changed',
  );
  expect(await session.getState()).toEqual({ n: 2, "app:m": 1 });
  expect(await session.patchState({ n: 3 }, { ifUnchanged: true })).toEqual({ n: 3, "app:m": 1 });
});

test("Idempotent: a patch repeated with its request id has one effect, and shows the state by then", async () => {
  const requestId = "step-7";
  expect(await session.patchState({ n: 1 }, { requestId })).toEqual({ n: 1 });
  await session.patchState({ n: 2, m: 1 });
  expect(await session.patchState({ n: 1 }, { requestId })).toEqual({ n: 2, m: 1 });
  expect((await session.refresh()).headRevision).toBe(3);
});

test("errors have their classes, and say what to do", async () => {
  const misspelt = session.patchState({ "User:locale": "de" });
  await expect(misspelt).rejects.toBeInstanceOf(InvalidFieldError);
  await expect(misspelt).rejects.toMatchObject({ field: 'patch["User:locale"]' });
  const large = session.patchState({ "user:x": "x".repeat(65_536) });
  await expect(large).rejects.toBeInstanceOf(StateTooLargeError);
  await expect(large).rejects.toMatchObject({ scope: "user", limitBytes: 65_536 });
  await session.end();
  await expect(session.patchState({ n: 1 })).rejects.toBeInstanceOf(SessionEndedError);
  await session.delete();
  await expect(session.getState()).rejects.toBeInstanceOf(SessionNotFoundError);
});
