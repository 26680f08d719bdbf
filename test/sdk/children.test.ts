import {
  InvalidFieldError,
  ParentMismatchError,
  type Session,
  Sessiond,
  SessionEndedError,
  SessionNotFoundError,
  TooManyGenerationsError,
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

/** Every test has a namespace to itself, and a session in it. */
beforeEach(async () => {
  sessiond = new Sessiond({ address: server.address, namespace: `test-${++namespaces}` });
  session = await sessiond.sessions.create({ sessionId: "trip", userId: "ann" });
});

afterEach(() => sessiond.close());

afterAll(() => server.stop());

const idsOf = async (list: AsyncIterable<Session>) =>
  (await collect(list)).map(({ sessionId }) => sessionId).sort();

test("a session is made the child of another, by its handle or its name", async () => {
  const flights = await sessiond.sessions.create({ parent: session, agentId: "flights" });
  expect(flights).toMatchObject({ created: true, state: "active", headRevision: 1 });
  const { uid } = session;
  expect(flights.parent).toEqual({ sessionId: "trip", uid, revision: 0, kind: "child" });
  const hotels = await sessiond.sessions.create({ sessionId: "hotels", parent: "trip" });
  const rooms = await sessiond.sessions.create({ sessionId: "rooms", parent: hotels });
  await flights.append({ role: "user", text: "to Osaka" });
  expect((await session.refresh()).headRevision).toBe(1);
  expect(await idsOf(session.children())).toEqual([flights.sessionId, "hotels"].sort());
  expect(await idsOf(hotels.children())).toEqual(["rooms"]);
  expect(await idsOf(sessiond.sessions.list({ parent: hotels }))).toEqual(["rooms"]);
  const { items, nextPageToken } = await session.children({ pageSize: 1, order: "oldest" });
  expect(items).toHaveLength(1);
  expect(nextPageToken).toBeDefined();
  await rooms.end();
  expect(await idsOf(hotels.children({ state: "active" }))).toEqual([]);
});

test("a session that is deleted takes its children along, and forks of them stay", async () => {
  const hotels = await sessiond.sessions.create({ sessionId: "hotels", parent: session });
  await sessiond.sessions.create({ sessionId: "rooms", parent: hotels });
  await hotels.append({ role: "user", text: "in Kyoto" });
  const fork = await hotels.fork({ sessionId: "fork" });
  let childCount: number | undefined;
  const onDeleted = (went: { readonly childCount: number }) => {
    childCount = went.childCount;
  };
  const missing = { allowMissing: true, onDeleted };
  expect(await sessiond.sessions.delete("nobody", missing)).toBe(false);
  expect(childCount).toBeUndefined();
  expect(await session.delete({ onDeleted })).toBe(true);
  expect(childCount).toBe(2);
  expect(await idsOf(sessiond.sessions.list())).toEqual(["fork"]);
  expect((await collect(fork.events())).map(({ text }) => text)).toContain("in Kyoto");
  await expect(hotels.refresh()).rejects.toBeInstanceOf(SessionNotFoundError);
});

test("cleanup and the deletion of a user's data tell how many children went", async () => {
  await sessiond.sessions.create({ sessionId: "hotels", parent: session });
  await sessiond.sessions.create({ sessionId: "rooms", parent: "hotels" });
  const filter = 'session.session_id == "hotels"';
  const action = "delete";
  const dry = await sessiond.sessions.cleanup({ filter, action, dryRun: true });
  expect(dry).toMatchObject({ matched: 1, changed: 0, childCount: 1 });
  expect(await sessiond.deleteUserData("ann", { dryRun: true })).toMatchObject({ childCount: 2 });
  const done = await sessiond.sessions.cleanup({ filter, action });
  expect(done).toMatchObject({ matched: 1, changed: 1, childCount: 1 });
  await sessiond.sessions.create({ sessionId: "hotels", parent: session });
  expect(await sessiond.deleteUserData("ann")).toMatchObject({ deleted: 1, childCount: 1 });
  expect(await idsOf(sessiond.sessions.list())).toEqual([]);
});

test("errors have their classes, and name the parent", async () => {
  const { sessions } = sessiond;
  const orphan = sessions.create({ parent: "nobody" });
  await expect(orphan).rejects.toBeInstanceOf(SessionNotFoundError);
  await expect(orphan).rejects.toMatchObject({ sessionId: "nobody" });
  const itself = sessions.create({ sessionId: "a", parent: "a" });
  await expect(itself).rejects.toBeInstanceOf(InvalidFieldError);
  await sessions.create({ sessionId: "other" });
  const found = sessions.getOrCreate("other", { parent: session });
  await expect(found).rejects.toBeInstanceOf(ParentMismatchError);
  await expect(found).rejects.toMatchObject({ sessionId: "other", parentSessionId: "trip" });
  let deepest = session;
  for (let level = 1; level <= 16; level++) deepest = await sessions.create({ parent: deepest });
  const deeper = sessions.create({ parent: deepest });
  await expect(deeper).rejects.toBeInstanceOf(TooManyGenerationsError);
  await expect(deeper).rejects.toMatchObject({
    parentSessionId: deepest.sessionId,
    limitLevels: 16,
  });
  await session.end();
  const late = sessions.create({ parent: session });
  await expect(late).rejects.toBeInstanceOf(SessionEndedError);
  await expect(late).rejects.toMatchObject({ sessionId: "trip" });
  await expect(collect(sessions.list({ parent: "nobody" }))).rejects.toMatchObject({
    sessionId: "nobody",
  });
});
