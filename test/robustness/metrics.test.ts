import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Role, SessionParentKind, SessionState } from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Clients, createClients } from "../../sdk/client/src/clients.ts";
import { createGrpcTransport } from "../../sdk/client/src/index.ts";
import { LmdbStore } from "../../src/store/lmdb/lmdb-store.ts";
import { checkAccount } from "../domain/metrics/account.ts";
import { Ledger } from "../domain/metrics/ledger.ts";
import { verify } from "../domain/upkeep/support.ts";
import { openTestDomain } from "../support/domain.ts";
import { startServer } from "../support/server-process.ts";
import { type Random, randomOf } from "./random.ts";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "sessiond-metrics-kill-"));
});
afterEach(() => rm(data, { recursive: true }));

const workers = 12;
/** Answers after which the server is killed, one cycle each. */
const kills = [1, 40, 333, 1_000];

/** Lets sessions live, one thing after another, until the server is gone; tells of every answer. */
async function live(clients: Clients, name: string, random: Random, onAnswer: () => void) {
  const { sessions, events, metrics } = clients;
  const ids = Array.from({ length: 4 }, (_, index) => `${name}-${index}`);
  for (let step = 0; ; step++) {
    const sessionId = random.pick(ids);
    const newSessionId = `${sessionId}-fork-${step}`;
    const things: readonly (() => Promise<unknown>)[] = [
      () =>
        sessions.createSession({
          session: { sessionId, agentId: random.pick(["a", "b"]), userId: `user ${name}` },
        }),
      () =>
        events.appendEvents({
          ...{ sessionId, createIfMissing: true },
          events: [
            { role: Role.USER, payload: { case: "message", value: { text: `step ${step}` } } },
            { payload: { case: "toolCall", value: { callId: "c", name: "t", arguments: "{}" } } },
            { payload: { case: "toolResult", value: { callId: "c", content: "done" } } },
          ],
        }),
      () => metrics.recordRequest({ sessionId, processingTime: { seconds: 0n, nanos: 5e6 } }),
      () => sessions.endSession({ sessionId, state: SessionState.COMPLETED }),
      () => sessions.reopenSession({ sessionId }),
      () => sessions.forkSession({ sessionId, newSessionId }),
    ];
    const error = await random
      .pick(things)()
      .then(() => undefined, String);
    if (error?.includes("[unavailable]")) return;
    onAnswer();
  }
}

/** Kills the server under load when it has answered so often. */
async function killUnderLoad(answers: number, cycle: number): Promise<void> {
  await using server = await startServer({ data });
  const transport = createGrpcTransport({ address: server.address });
  let seen = 0;
  const onAnswer = () => {
    seen += 1;
    if (seen === answers) void server.kill("SIGKILL");
  };
  const clients = createClients(transport);
  await Promise.all(
    Array.from({ length: workers }, (_, index) => {
      const name = `${cycle}-${index}`;
      return live(clients, name, randomOf(7_377, name), onAnswer);
    }),
  );
  transport.close();
}

/** Counts every log of the store, each without what it shares. */
async function recounted(store: LmdbStore): Promise<Ledger> {
  const ledger = new Ledger();
  const stored = await store.listSessions({
    ...{ namespace: "default", index: { by: "all" }, limit: 100_000 },
  });
  for (const { session, head } of stored) {
    const isFork = session.parent?.kind === SessionParentKind.FORK;
    const events = await store.readEvents({
      ...{ uid: session.uid, first: 1, last: head.revision, maxEvents: 1e6, maxBytes: 1e9 },
    });
    const own = isFork ? (session.parent?.revision ?? 0) : 0;
    ledger.take(
      session,
      events.filter(({ revision }) => revision > own),
    );
  }
  return ledger;
}

test("Accounted: after kills under load, what was counted equals a recount of the logs", async () => {
  let groups = 0;
  for (const [cycle, answers] of kills.entries()) {
    await killUnderLoad(answers, cycle);
    const store = await LmdbStore.open({ path: data });
    expect((await verify(store)).findings).toEqual([]);
    const ledger = await recounted(store);
    await using domain = await openTestDomain({ store });
    domain.now = Date.now();
    await checkAccount(domain, ledger);
    groups = ledger.groups().length;
  }
  expect(groups).toBeGreaterThan(kills.length);
}, 300_000);
