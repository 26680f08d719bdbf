import { expect, test } from "vitest";
import { limits } from "../../src/limits.ts";
import { openTestApp, type TestApp } from "../support/app.ts";
import { userText } from "../support/domain.ts";

const sessionId = "demo";

/** What the cache of this name says. */
async function cacheOf({ clients }: TestApp, name: string) {
  const { server } = await clients.server.getServerInfo({});
  return server?.caches.find((cache) => cache.name === name);
}

/** Hits and misses of one cache between two looks. */
async function during(app: TestApp, name: string, work: () => Promise<unknown>) {
  const before = await cacheOf(app, name);
  await work();
  const after = await cacheOf(app, name);
  return {
    hits: Number(after?.hits) - Number(before?.hits),
    misses: Number(after?.misses) - Number(before?.misses),
  };
}

/** A server with one session of so many messages, that has been restarted: its caches are empty. */
async function openFilled(messages: number): Promise<TestApp> {
  const app = await openTestApp({ store: "lmdb" });
  const events = Array.from({ length: messages }, (_, n) => userText(`message ${n} about trains`));
  await app.clients.events.appendEvents({ sessionId, createIfMissing: true, events });
  await app.restart();
  return app;
}

test("a server that was just started has empty caches, and says what they may take", async () => {
  await using app = await openTestApp();
  const { caches } = (await app.clients.server.getServerInfo({})).server ?? {};
  expect(caches?.map(({ name }) => name)).toEqual(["heads", "windows", "tokens", "search"]);
  for (const { hits, misses } of caches ?? []) expect([hits, misses]).toEqual([0n, 0n]);
  expect(caches?.map(({ entries, bytes }) => [entries, bytes])).toEqual([
    [0n, 0n],
    [0n, 0n],
    [undefined, undefined],
    [0n, 0n],
  ]);
  expect(caches?.map(({ limitBytes }) => limitBytes && Number(limitBytes))).toEqual([
    limits.cachedSessionBytes,
    limits.windowCacheBytes,
    undefined,
    limits.retrievalBytes,
  ]);
});

test("the head of a session is read once", async () => {
  await using app = await openFilled(1);
  const get = () => app.clients.sessions.getSession({ sessionId });
  expect(await during(app, "heads", get)).toEqual({ hits: 0, misses: 1 });
  expect(await during(app, "heads", get)).toEqual({ hits: 1, misses: 0 });
  const heads = await cacheOf(app, "heads");
  expect(heads?.entries).toBe(1n);
  expect(Number(heads?.bytes)).toBeGreaterThan(sessionId.length);
});

test("a second window reads no store; its events stay in memory until the session is deleted", async () => {
  await using app = await openFilled(20);
  const window = () => app.clients.context.getContextWindow({ sessionId });
  expect((await during(app, "windows", window)).misses).toBeGreaterThan(0);
  const second = await during(app, "windows", window);
  expect(second.misses).toBe(0);
  expect(second.hits).toBeGreaterThan(0);
  const windows = await cacheOf(app, "windows");
  expect(windows?.entries).toBe(1n);
  expect(Number(windows?.bytes)).toBeGreaterThan(20 * 1_024);
  await app.clients.sessions.deleteSession({ sessionId });
  expect(await cacheOf(app, "windows")).toMatchObject({ entries: 0n, bytes: 0n });
});

test("tokens are known from the append; those of another encoding are counted once", async () => {
  await using app = await openFilled(20);
  const window = (model: string) => () =>
    app.clients.context.getContextWindow({ sessionId, model });
  expect(await during(app, "tokens", window("gpt-4o"))).toEqual({ hits: 20, misses: 0 });
  expect(await during(app, "tokens", window("gpt-4"))).toEqual({ hits: 0, misses: 20 });
  expect(await during(app, "tokens", window("gpt-4"))).toEqual({ hits: 20, misses: 0 });
});

test("an index is made at the first query, found at the second, and caught up after an append", async () => {
  await using app = await openFilled(300);
  const query = () =>
    app.clients.context.getContextWindow({ sessionId, query: "message 17", tokenBudget: 500 });
  expect(await during(app, "search", query)).toEqual({ hits: 0, misses: 1 });
  expect(await during(app, "search", query)).toEqual({ hits: 1, misses: 0 });
  await app.clients.events.appendEvents({ sessionId, events: [userText("one more")] });
  expect(await during(app, "search", query)).toEqual({ hits: 0, misses: 1 });
  const search = await cacheOf(app, "search");
  expect(search?.entries).toBe(1n);
  expect(Number(search?.bytes)).toBeGreaterThan(0);
});
