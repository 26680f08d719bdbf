import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Event, Role } from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Clients, createClients } from "../../sdk/client/src/clients.ts";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "sessiond-forks-kill-"));
});
afterEach(() => rm(data, { recursive: true }));

/** The last one only looks. */
const cycles = 4;
const changesPerCycle = 60;
const writers = 6;
const pageSize = 1_000;
const depth = 20;

/** What a session's log holds: of each event what was said, or which payload it is. */
type Log = readonly string[];

/** What one writer knows. */
interface Ledger {
  /** What was acknowledged. */
  readonly logs: Map<string, Log>;
  readonly deleted: Set<string>;
  /** What was sent last and not answered: the session, and its log if that was done. */
  underWay: { readonly sessionId: string; readonly log: Log | "deleted" } | undefined;
  number: number;
}

async function connected(server: ServerProcess, run: (clients: Clients) => Promise<void>) {
  const transport = createGrpcTransport({ address: server.address });
  try {
    await run(createClients(transport));
  } finally {
    transport.close();
  }
}

const wordsOf = ({ payload }: Event): string =>
  payload.case === "message" ? payload.value.text : String(payload.case);

const userText = (text: string) =>
  ({ role: Role.USER, payload: { case: "message", value: { text } } }) as const;

/** All that is stored, by the names of the sessions. */
async function stored({ sessions, events }: Clients): Promise<Map<string, Log>> {
  const logs = new Map<string, Log>();
  const list = await sessions.listSessions({ pageSize });
  expect(list.nextPageToken).toBe("");
  for (const { sessionId, headRevision, parent } of list.sessions) {
    const page = await events.listEvents({ sessionId, pageSize, includeHidden: true });
    expect(page.events.map(({ revision }) => revision)).toEqual(
      Array.from({ length: headRevision }, (_, index) => index + 1),
    );
    const log = page.events.map(wordsOf);
    // A fork is made with `forked` behind what it shares, in one piece.
    if (parent !== undefined) expect(log[parent.revision]).toBe("forked");
    logs.set(sessionId, log);
  }
  return logs;
}

/** Forks, rewinds, appends and deletes until the server is gone; notes what is acknowledged. */
async function write(
  { sessions, events }: Clients,
  { writer, ledger, done }: { writer: number; ledger: Ledger; done: () => Promise<void> },
) {
  let current = [...ledger.logs.keys()].at(-1) ?? "";
  try {
    for (;;) {
      const log = ledger.logs.get(current) ?? [];
      const n = ++ledger.number;
      if (n % 7 === 0 && ledger.logs.size > 2) {
        const [oldest = ""] = ledger.logs.keys();
        ledger.underWay = { sessionId: oldest, log: "deleted" };
        await sessions.deleteSession({ sessionId: oldest });
        ledger.logs.delete(oldest);
        ledger.deleted.add(oldest);
      } else if (n % 3 === 0) {
        const revision = Math.max(1, log.length - (n % 5));
        const newSessionId = `w${writer}-f${n}`;
        const forked = [...log.slice(0, revision), "forked"];
        ledger.underWay = { sessionId: newSessionId, log: forked };
        await sessions.forkSession({ sessionId: current, revision, newSessionId });
        ledger.logs.set(newSessionId, forked);
        current = newSessionId;
      } else if (n % 4 === 0) {
        const to = { case: "revision", value: Math.max(1, log.length - (n % 5) - 1) } as const;
        const rewound = [...log, "rewind"];
        ledger.underWay = { sessionId: current, log: rewound };
        await sessions.rewindSession({ sessionId: current, to });
        ledger.logs.set(current, rewound);
      } else {
        const text = `w${writer} ${n}`;
        const appended = [...log, text];
        ledger.underWay = { sessionId: current, log: appended };
        await events.appendEvents({ sessionId: current, events: [userText(text)] });
        ledger.logs.set(current, appended);
      }
      ledger.underWay = undefined;
      await done();
    }
  } catch {
    // The server was killed.
  }
}

/** Checks what is there against what was acknowledged, and takes over what had been under way. */
function check(ledgers: readonly Ledger[], found: Map<string, Log>) {
  const known = new Set<string>();
  for (const ledger of ledgers) {
    const { underWay, logs, deleted } = ledger;
    if (underWay !== undefined) {
      const { sessionId, log } = underWay;
      const now = found.get(sessionId);
      const before = logs.get(sessionId);
      // What was under way is there whole or not at all.
      const after = log === "deleted" ? undefined : log;
      expect([before, after]).toContainEqual(now);
      if (now === undefined) logs.delete(sessionId);
      else logs.set(sessionId, now);
      ledger.underWay = undefined;
    }
    for (const [sessionId, log] of logs) expect(found.get(sessionId)).toEqual(log);
    for (const sessionId of deleted) expect(found.has(sessionId)).toBe(false);
    for (const sessionId of logs.keys()) known.add(sessionId);
  }
  expect([...found.keys()].filter((sessionId) => !known.has(sessionId))).toEqual([]);
}

/** Heads, logs, lists and counters agree: nothing is there by half. */
async function expectSound({ server }: Clients): Promise<void> {
  for await (const { message } of server.verify({})) {
    if (message.case === "finding") expect(message.value).toBeUndefined();
  }
}

test("Durable and Atomic: forks and rewinds that were acknowledged survive kill -9, with exactly their logs", async () => {
  const ledgers = Array.from(
    { length: writers },
    (): Ledger => ({ logs: new Map(), deleted: new Set(), underWay: undefined, number: 0 }),
  );
  for (let cycle = 0; cycle < cycles; cycle++) {
    await using server = await startServer({ data });
    await connected(server, async (clients) => {
      if (cycle === 0) {
        for (const [writer, { logs }] of ledgers.entries()) {
          const texts = Array.from({ length: depth }, (_, index) => `start ${index}`);
          await clients.events.appendEvents({
            sessionId: `w${writer}`,
            createIfMissing: true,
            events: texts.map(userText),
          });
          logs.set(`w${writer}`, ["sessionStarted", ...texts]);
        }
      }
      await expectSound(clients);
      check(ledgers, await stored(clients));
      if (cycle === cycles - 1) return;
      let left = changesPerCycle;
      const done = async () => {
        // Killed as soon as one more is acknowledged, while those of all others are under way.
        if (--left === 0) await server.kill("SIGKILL");
      };
      const writing = ledgers.map((ledger, writer) => write(clients, { writer, ledger, done }));
      await Promise.all(writing);
      expect(left).toBeLessThanOrEqual(0);
    });
  }
  expect(ledgers.every(({ deleted }) => deleted.size > 0)).toBe(true);
});
