import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Session, SessionParentKind } from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Clients, createClients } from "../../sdk/client/src/clients.ts";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "sessiond-children-kill-"));
});
afterEach(() => rm(data, { recursive: true }));

const root = "root";
const children = 40;
const creators = 4;
/** How many sessions are seen to be deleted before the server is killed, one cycle each. */
const kills = [1, 13, 40, 60];

async function connected<T>(server: ServerProcess, run: (clients: Clients) => Promise<T>) {
  const transport = createGrpcTransport({ address: server.address });
  try {
    return await run(createClients(transport));
  } finally {
    transport.close();
  }
}

/** A session with children, each with one of its own, and a fork of every tenth of these. */
async function makeFamily({ sessions }: Clients, cycle: number): Promise<string[]> {
  await sessions.createSession({ session: { sessionId: root } });
  const forks: string[] = [];
  const numbers = Array.from({ length: children }, (_, number) => number);
  await Promise.all(
    numbers.map(async (number) => {
      const [sessionId, below] = [`${root}.${number}`, `${root}.${number}.0`];
      await sessions.createSession({ session: { sessionId }, parentSessionId: root });
      const session = { sessionId: below };
      await sessions.createSession({ session, parentSessionId: sessionId });
      if (number % 10 > 0) return;
      const newSessionId = `fork-${cycle}-${number}`;
      await sessions.forkSession({ sessionId: below, newSessionId });
      forks.push(newSessionId);
    }),
  );
  return forks;
}

/** Makes children of whatever of the family may still be there, until the server is gone. */
async function makeMore({ sessions }: Clients, creator: number): Promise<number> {
  for (let number = 0; ; number++) {
    const sessionId = `late-${creator}-${number}`;
    const parentSessionId = number % 2 === 0 ? root : `${root}.${number % children}`;
    const request = { session: { sessionId }, parentSessionId };
    const error = await sessions.createSession(request).then(() => undefined, String);
    if (error?.includes("[unavailable]")) return number;
  }
}

/** Deletes the family, and kills the server when so many of it are seen to be gone; gives their uids. */
async function killWhileDeleting(server: ServerProcess, clients: Clients, seen: number) {
  const { sessions, events } = clients;
  const family = new Set((await stored(clients)).map(({ uid }) => uid));
  const gone: string[] = [];
  const killed = (async () => {
    // Tells of the families before, too.
    for await (const { message } of events.watchEvents({ namespace: "default" })) {
      if (message.case !== "sessionDeleted" || !family.has(message.value.sessionUid)) continue;
      gone.push(message.value.sessionUid);
      if (gone.length === seen) break;
    }
    await server.kill("SIGKILL");
  })();
  const making = Array.from({ length: creators }, (_, creator) => makeMore(clients, creator));
  const deletion = sessions.deleteSession({ sessionId: root }).catch(() => undefined);
  await killed;
  await Promise.all([deletion, ...making]);
  return gone;
}

async function stored({ sessions }: Clients): Promise<Session[]> {
  const page = await sessions.listSessions({ pageSize: 1_000 });
  expect(page.nextPageToken).toBe("");
  return page.sessions;
}

function orphansIn(found: readonly Session[]): string[] {
  const uids = new Set(found.map(({ uid }) => uid));
  const isOrphan = ({ parent }: Session) =>
    parent?.kind === SessionParentKind.CHILD && !uids.has(parent.uid);
  return found.filter(isOrphan).map(({ sessionId }) => sessionId);
}

test("Together: whenever the server is killed in a deletion, no child is left without its parent, and a call goes on", async () => {
  const forks: string[] = [];
  let cutOff = 0;
  for (const [cycle, seen] of kills.entries()) {
    let gone: string[] = [];
    {
      await using server = await startServer({ data });
      await connected(server, async (clients) => {
        forks.push(...(await makeFamily(clients, cycle)));
        gone = await killWhileDeleting(server, clients, seen);
      });
    }
    await using server = await startServer({ data });
    await connected(server, async (clients) => {
      const found = await stored(clients);
      expect(orphansIn(found)).toEqual([]);
      const isThere = found.some(({ sessionId }) => sessionId === root);
      if (isThere) cutOff += 1;
      expect(gone).toHaveLength(seen);
      expect(found.filter(({ uid }) => gone.includes(uid))).toEqual([]);
      for await (const { message } of clients.server.verify({})) {
        expect(message.case).not.toBe("finding");
      }
      const again = { sessionId: root, allowMissing: true };
      const { deleted, childCount } = await clients.sessions.deleteSession(again);
      expect(deleted).toBe(isThere);
      expect(childCount).toBe(found.length - forks.length - (isThere ? 1 : 0));
      const left = await stored(clients);
      expect(left.map(({ sessionId }) => sessionId).sort()).toEqual([...forks].sort());
      for (const sessionId of forks) {
        const page = await clients.events.listEvents({ sessionId });
        expect(page.events.map(({ payload }) => payload.case)).toEqual([
          "sessionStarted",
          "forked",
        ]);
      }
    });
  }
  // The notice of a deletion may come late, but not that late every time.
  expect(cutOff).toBeGreaterThan(0);
});
