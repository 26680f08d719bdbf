import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Session, Sessiond, SessionEndedError } from "@sessiond/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let session: Session;
/** The client's clock, which only the tests move. */
let nowMs: number;

beforeEach(async () => {
  nowMs = 5_000;
  server = await startInMemory();
  const environment = { elapsedMs: () => nowMs };
  sessiond = new Sessiond({ address: server.address, environment });
  session = await sessiond.sessions.create({ sessionId: "user-42" });
});

afterEach(async () => {
  sessiond.close();
  await server.stop();
});

/** The newest event, which must be a recorded request. */
async function recorded() {
  const { items } = await session.events({ order: "newest", pageSize: 1 });
  const payload = items[0]?.message.payload;
  if (payload?.case !== "requestRecorded") throw new Error(`recorded a ${payload?.case}`);
  const { processingTime, error } = payload.value;
  return { event: items[0], ms: processingTime && durationMs(processingTime), error };
}

test("a request gives what its work gives, and its time is recorded", async () => {
  const work = async () => {
    nowMs += 1_500;
    return "an answer";
  };
  expect(await session.request(work, { author: "travel", kind: "llm_call" })).toBe("an answer");
  const { event, ms, error } = await recorded();
  expect(ms).toBe(1_500);
  expect(error).toBeUndefined();
  expect(event).toMatchObject({ author: "travel", kind: "llm_call" });
});

test("a time in fractions of a millisecond is recorded to the nanosecond", async () => {
  await session.request(() => {
    nowMs += 1_500.013_78;
  });
  const { event } = await recorded();
  const payload = event?.message.payload;
  if (payload?.case !== "requestRecorded") throw new Error("not recorded");
  expect(payload.value.processingTime).toMatchObject({ seconds: 1n, nanos: 500_013_780 });
});

test("an error of the work is thrown as it is, and recorded with its name and message", async () => {
  const failure = new RangeError("too many flights");
  const work = () => {
    nowMs += 20;
    throw failure;
  };
  await expect(session.request(work)).rejects.toBe(failure);
  const { ms, error } = await recorded();
  expect(ms).toBe(20);
  expect(error).toMatchObject({ code: "RangeError", message: "too many flights" });
});

test("what is thrown but is no Error is recorded as text, and cut to what the contract takes", async () => {
  await expect(session.request(() => Promise.reject("x".repeat(100_000)))).rejects.toMatch(/^x+$/);
  expect((await recorded()).error?.message).toMatch(/^x{4000}$/);
});

test("an error of the work is thrown also when it cannot be recorded", async () => {
  await session.end();
  const failure = new Error("no flights");
  await expect(session.request(() => Promise.reject(failure))).rejects.toBe(failure);
});

test("work that succeeded but cannot be recorded fails with the error of the append", async () => {
  await session.end();
  await expect(session.request(() => 1)).rejects.toBeInstanceOf(SessionEndedError);
});
