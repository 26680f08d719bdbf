import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { durationFromMs, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { SessionState } from "@sessiond/contract";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Connection, connect } from "../robustness/connection.ts";
import { startServer } from "../support/server-process.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-timers-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Long enough to kill a server and start it again on a busy machine. */
const dueInMs = 2_500;
const due = durationFromMs(dueInMs);

/** Sessions by the timer that ends them, and what it makes of them. */
const timers = {
  timeout: { session: { limits: { timeout: due } }, state: SessionState.TIMED_OUT },
  ttl: { session: { expiry: { ttl: due } }, state: SessionState.EXPIRED },
  idle: { session: { expiry: { idleTtl: due } }, state: SessionState.EXPIRED },
} as const;
type Timer = keyof typeof timers;
const names = Object.keys(timers) as Timer[];

it.each(["before", "after"] as const)(
  "timers survive a kill before and a start %s the deadline",
  async (when) => {
    const dueMs = await createAndKill();
    if (when === "after") await pause(Math.max(...dueMs.values()) + 1 - Date.now());
    {
      await using server = await startServer({ data: folder });
      const connection = connect(server.address);
      await seen(connection);
      await expectEnds(connection, dueMs);
      await server.kill("SIGKILL");
    }
    // What was written down stays as it is, and is not written again.
    await using server = await startServer({ data: folder });
    await expectEnds(connect(server.address), dueMs);
  },
);

/** Creates the sessions and gives the time each is due, as the server has it. */
async function createAndKill(): Promise<ReadonlyMap<string, number>> {
  await using server = await startServer({ data: folder });
  const { sessions } = connect(server.address);
  const dueMs = new Map<string, number>();
  const note = (sessionId: string, time: Timestamp | undefined) =>
    dueMs.set(sessionId, time === undefined ? Number.NaN : timestampMs(time));
  for (const name of names) {
    const { session } = await sessions.createSession({
      session: { sessionId: name, ...timers[name].session },
    });
    note(name, session?.expireTime);
  }
  const session = { sessionId: "retention", expiry: { retention: due } };
  await sessions.createSession({ session });
  note("retention", (await sessions.endSession({ sessionId: "retention" })).session?.expireTime);
  await server.kill("SIGKILL");
  // Or nothing would be proved.
  expect(Math.min(...dueMs.values())).toBeGreaterThan(Date.now());
  return dueMs;
}

/** Watches until every timer has done its work. */
async function seen({ grpc }: Connection): Promise<void> {
  const waiting = new Set<string>([...names, "retention"]);
  for await (const { message } of grpc.watchEvents({}, { timeoutMs: 0 })) {
    if (message.case === "sessionDeleted") waiting.delete(message.value.sessionId);
    if (message.case === "events") {
      const { sessionId, events } = message.value;
      const isEnd = events.some(({ payload }) => payload.case === "sessionEnded");
      if (isEnd && sessionId !== "retention") waiting.delete(sessionId);
    }
    if (waiting.size === 0) return;
  }
  throw new Error(`the watch ended without ${[...waiting].join(", ")}`);
}

/** Each session ended once, at its due time; that of the retention is gone. */
async function expectEnds(
  { sessions, http }: Connection,
  dueMs: ReadonlyMap<string, number>,
): Promise<void> {
  for (const name of names) {
    const { session } = await sessions.getSession({ sessionId: name });
    expect(session?.state, name).toBe(timers[name].state);
    expect(session?.endTime && timestampMs(session.endTime), name).toBe(dueMs.get(name));
    const { events } = await http.listEvents({ sessionId: name });
    const ends = events.filter(({ payload }) => payload.case === "sessionEnded");
    expect(ends, name).toHaveLength(1);
    const [end] = ends;
    expect(end?.createTime && timestampMs(end.createTime), name).toBe(dueMs.get(name));
  }
  const listed = await sessions.listSessions({});
  expect(listed.sessions.map(({ sessionId }) => sessionId).sort()).toEqual([...names].sort());
}
