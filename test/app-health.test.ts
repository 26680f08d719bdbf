import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { AppHealth } from "../src/app-health.ts";
import { LmdbStore } from "../src/store/lmdb/lmdb-store.ts";
import { MemoryStore } from "../src/store/memory/memory-store.ts";
import type { Store } from "../src/store/store.ts";
import { openTestApp } from "./support/app.ts";

const probeListen = { host: "127.0.0.1", port: 0 };
const GiB = 1024 ** 3;

async function ask(address: string | undefined, path: string) {
  const response = await fetch(`http://${address}${path}`);
  const [first = "", ...details] = (await response.text()).trimEnd().split("\n");
  return { status: response.status, first, details };
}

/** The pages alone, over a store that fares as the test wants. */
async function serve(store: Store) {
  const shutdown = new AbortController();
  const health = new AppHealth({ store, dataFolder: tmpdir(), shutdown: shutdown.signal });
  const server = createServer((request, response) => {
    void health.pages.get(request.url ?? "")?.(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    ask: (path: string) => ask(`127.0.0.1:${port}`, path),
    shutDown: () => shutdown.abort(),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await store.close();
    },
  };
}

it("a server that is well is alive and ready, and says what it looked at", async () => {
  await using app = await openTestApp({ store: "lmdb", config: { probeListen } });
  const ready = await ask(app.probe, "/readyz");
  expect(ready).toMatchObject({ status: 200, first: "ready" });
  expect(ready.details).toEqual([
    "store: ok",
    "commits: ok",
    expect.stringMatching(/^disk: \d+ MiB free$/),
    expect.stringMatching(/^event loop: (ok|late by \d+ ms)$/),
  ]);
  expect(await ask(app.probe, "/livez")).toMatchObject({ status: 200, first: "alive" });
  expect(await ask(app.probe, "/healthz")).toEqual({ status: 200, first: "ok", details: [] });
  expect((await ask(app.address, "/readyz")).status).not.toBe(200);
});

it("a server that refuses writes is alive and ready, and says so", async () => {
  const path = await mkdtemp(join(tmpdir(), "sessiond-health-"));
  try {
    let freeBytes = GiB;
    const store = await LmdbStore.open({
      path,
      diskSpace: () => ({ freeBytes, totalBytes: GiB }),
    });
    await using app = await openTestApp({ overrides: { store }, config: { probeListen } });
    freeBytes = 0;
    const refused = expect.stringMatching(/^store: writes are refused: the disk is nearly full/);
    await expect
      .poll(() => ask(app.probe, "/readyz"))
      .toMatchObject({ status: 200, first: "ready", details: expect.arrayContaining([refused]) });
    const alive = await ask(app.probe, "/livez");
    expect(alive).toMatchObject({ status: 200, first: "alive" });
    expect(alive.details).toContainEqual(refused);
  } finally {
    await rm(path, { recursive: true });
  }
});

it("a server whose store has failed is not ready, and still alive", async () => {
  const failures: ((error: Error) => void)[] = [];
  const store = Object.assign(await MemoryStore.open(), {
    onFailure: (listener: (error: Error) => void) => {
      failures.push(listener);
      return () => {};
    },
  });
  await using server = await serve(store);
  expect(await server.ask("/readyz")).toMatchObject({ status: 200 });
  for (const fail of failures) fail(new Error("the outcome of a commit is unknown"));
  // It begins to stop, and what it says remains the cause.
  server.shutDown();
  const failed = "store: failed: the outcome of a commit is unknown";
  const ready = await server.ask("/readyz");
  expect(ready).toMatchObject({ status: 503, first: "not ready" });
  expect(ready.details).toContain(failed);
  const alive = await server.ask("/livez");
  expect(alive).toMatchObject({ status: 200, first: "alive" });
  expect(alive.details).toContain(failed);
});

it("a commit that is stuck keeps callers away until it is through", async () => {
  let ageMs = 4_000;
  const store = Object.assign(await MemoryStore.open(), { oldestCommitMs: () => ageMs });
  await using server = await serve(store);
  expect(await server.ask("/readyz")).toMatchObject({ status: 200 });
  ageMs = 6_500;
  const stuck = await server.ask("/readyz");
  expect(stuck).toMatchObject({ status: 503, first: "not ready" });
  expect(stuck.details).toContain("commits: the oldest has waited for the disk for 6 s");
  expect(await server.ask("/livez")).toMatchObject({ status: 200 });
  ageMs = 0;
  expect(await server.ask("/readyz")).toMatchObject({ status: 200 });
});

it("a server that shuts down is not ready, and still alive", async () => {
  await using server = await serve(await MemoryStore.open());
  server.shutDown();
  expect(await server.ask("/readyz")).toEqual({
    status: 503,
    first: "not ready",
    details: ["server: shutting down"],
  });
  expect(await server.ask("/livez")).toMatchObject({ status: 200, first: "alive" });
});
