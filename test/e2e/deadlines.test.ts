import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as until } from "node:timers/promises";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Event, SessionState } from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect } from "../robustness/connection.ts";
import { messageTo, reasonOf } from "../robustness/requests.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";

const sessionId = "demo";
let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "sessiond-deadlines-"));
});
afterEach(() => rm(data, { recursive: true }));

/** A session that times out soon; gives the moment. */
async function createShortLived({ address }: ServerProcess, timeoutMs: number): Promise<number> {
  const { sessions } = connect(address);
  const limits = { timeout: durationFromMs(timeoutMs) };
  const { session } = await sessions.createSession({ session: { sessionId, limits } });
  return (session?.startTime ? timestampMs(session.startTime) : 0) + timeoutMs;
}

/** Watches a session to its end. */
async function watched({ address }: ServerProcess): Promise<Event[]> {
  const events: Event[] = [];
  for await (const { message } of connect(address).http.watchEvents({
    sessionId,
    untilEnded: true,
  })) {
    if (message.case === "events") events.push(...message.value.events);
  }
  return events;
}

async function expectTimedOut(server: ServerProcess, dueMs: number): Promise<void> {
  const events = await watched(server);
  expect(events.map(({ payload }) => payload.case)).toEqual(["sessionStarted", "sessionEnded"]);
  const [, end] = events;
  expect(end?.createTime && timestampMs(end.createTime)).toBe(dueMs);
  const { sessions, http } = connect(server.address);
  const { session } = await sessions.getSession({ sessionId });
  expect(session?.state).toBe(SessionState.TIMED_OUT);
  expect(session?.endTime && timestampMs(session.endTime)).toBe(dueMs);
  const late = http.appendEvents(messageTo({ sessionId, requestId: "late" }));
  expect(await reasonOf(late)).toBe("SESSION_ENDED");
}

test("a server ends a session by itself, and those who watch see it", async () => {
  await using server = await startServer({ data });
  const dueMs = await createShortLived(server, 200);
  await expectTimedOut(server, dueMs);
});

test("a timeout passes while the server is down, and counts from the moment it was due", async () => {
  let dueMs: number;
  {
    await using server = await startServer({ data });
    dueMs = await createShortLived(server, 400);
    await server.kill("SIGKILL");
  }
  await until(Math.max(0, dueMs + 1 - Date.now()));
  await using server = await startServer({ data });
  await expectTimedOut(server, dueMs);
});

test("a server that is killed and started before a timeout keeps it", async () => {
  let dueMs: number;
  {
    await using server = await startServer({ data });
    dueMs = await createShortLived(server, 3_000);
    await server.kill("SIGKILL");
  }
  await using server = await startServer({ data });
  await expectTimedOut(server, dueMs);
});

test("Unique: a server that is killed after it ended a session does not end it again", async () => {
  let dueMs: number;
  {
    await using server = await startServer({ data });
    dueMs = await createShortLived(server, 100);
    await expectTimedOut(server, dueMs);
    await server.kill("SIGKILL");
  }
  await using server = await startServer({ data });
  await expectTimedOut(server, dueMs);
});
