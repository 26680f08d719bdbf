import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Clients, createClients } from "../../sdk/client/src/clients.ts";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "sessiond-state-kill-"));
});
afterEach(() => rm(data, { recursive: true }));

/** The last one only looks. */
const cycles = 4;
const patchesPerCycle = 40;
/** Writers share sessions, users and the namespace, and have keys of their own in each scope. */
const writers = Array.from({ length: 8 }, (_, index) => ({
  sessionId: `s${index % 4}`,
  key: `w${index}`,
}));
const userOf = (sessionId: string) => (sessionId < "s2" ? "ann" : "bob");

async function connected<T>(server: ServerProcess, run: (clients: Clients) => Promise<T>) {
  const transport = createGrpcTransport({ address: server.address });
  try {
    return await run(createClients(transport));
  } finally {
    transport.close();
  }
}

async function readState({ sessions }: Clients, sessionId: string): Promise<JsonObject> {
  return (await sessions.getState({ sessionId })).state ?? {};
}

/** The session's own keys as its log makes them. */
async function replay({ events }: Clients, sessionId: string): Promise<JsonObject> {
  const own = new Map<string, unknown>();
  const page = await events.listEvents({ sessionId, pageSize: 1_000 });
  expect(page.nextPageToken).toBe("");
  for (const { payload } of page.events) {
    if (payload.case !== "stateChanged") continue;
    for (const [key, value] of Object.entries(payload.value.patch ?? {})) {
      if (!key.includes(":")) own.set(key, value);
    }
  }
  return Object.fromEntries(own) as JsonObject;
}

test("Durable and Atomic: states survive kill -9, and no patch is in one scope only", async () => {
  const acknowledged = new Map(writers.map(({ key }) => [key, 0]));
  for (let cycle = 0; cycle < cycles; cycle++) {
    await using server = await startServer({ data });
    await connected(server, async (clients) => {
      if (cycle === 0) {
        for (const { sessionId } of writers) {
          const session = { sessionId, userId: userOf(sessionId) };
          await clients.sessions.createSession({ session, ifExists: 2 });
        }
      }
      for (const { sessionId, key } of writers) {
        const state = await readState(clients, sessionId);
        const n = Number(state[key] ?? 0);
        expect([state[`user:${key}`] ?? 0, state[`app:${key}`] ?? 0]).toEqual([n, n]);
        const sent = acknowledged.get(key) ?? 0;
        // What was acknowledged is there; what was under way is there whole or not at all.
        expect(n === sent || n === sent + 1).toBe(true);
        acknowledged.set(key, n);
        const own = Object.entries(state).filter(([name]) => !name.includes(":"));
        expect(await replay(clients, sessionId)).toEqual(Object.fromEntries(own));
      }
      if (cycle === cycles - 1) return;
      let left = patchesPerCycle;
      const write = async ({ sessionId, key }: (typeof writers)[number]) => {
        for (let n = (acknowledged.get(key) ?? 0) + 1; ; n++) {
          const patch = { [key]: n, [`user:${key}`]: n, [`app:${key}`]: n };
          try {
            await clients.sessions.patchState({ sessionId, patch });
          } catch {
            return;
          }
          acknowledged.set(key, n);
          // Killed as soon as one more is acknowledged, while those of all others are under way.
          if (--left === 0) await server.kill("SIGKILL");
        }
      };
      await Promise.all(writers.map(write));
      expect(left).toBeLessThanOrEqual(0);
    });
  }
});
