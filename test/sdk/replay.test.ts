import { type Session, Sessiond, type SessionEvent, UsageError } from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let session: Session;
/** What the server takes for the time. */
let recordedMs: number;
/** The client's clock, which goes on when the client sleeps. */
let elapsedMs: number;
/** Waits of the client, in order. */
let sleeps: number[];
/** Runs in every wait. */
let onSleep: (signal: AbortSignal) => void;
/** Reads of pages. */
let reads: number;
let namespaces = 0;

beforeAll(async () => {
  recordedMs = Date.parse("2026-11-20T12:00:00Z");
  server = await startInMemory({ clock: () => recordedMs });
});

beforeEach(async () => {
  elapsedMs = 1_000;
  sleeps = [];
  reads = 0;
  onSleep = () => {};
  sessiond = new Sessiond({
    address: server.address,
    namespace: `test-${++namespaces}`,
    interceptors: [
      (next) => (req) => {
        if (req.method.name === "ListEvents") reads += 1;
        return next(req);
      },
    ],
    environment: {
      elapsedMs: () => elapsedMs,
      sleep: async (ms, signal) => {
        sleeps.push(ms);
        onSleep(signal);
        if (!signal.aborted) elapsedMs += ms;
      },
    },
  });
  session = await sessiond.sessions.create({ sessionId: "trip" });
});

afterEach(() => sessiond.close());

afterAll(() => server.stop());

/** Appends messages, each after its pause. */
async function record(...pausesMs: readonly number[]): Promise<void> {
  for (const pauseMs of pausesMs) {
    recordedMs += pauseMs;
    await session.append({ role: "user", text: `after ${pauseMs}` });
  }
}

/** Reads on until the iteration ends; gives the client's time at each event. */
async function timesOf(events: AsyncIterable<SessionEvent>): Promise<number[]> {
  const times: number[] = [];
  for await (const _ of events) times.push(elapsedMs - 1_000);
  return times;
}

describe("a replay", () => {
  test("Ordered: shows every event, at the pace at which they were recorded", async () => {
    await record(1_000, 250, 0, 4_000);
    expect(await timesOf(session.replay())).toEqual([0, 1_000, 1_250, 1_250, 5_250]);
    const shown = (await collect(session.replay())).map(({ revision }) => revision);
    expect(shown).toEqual([1, 2, 3, 4, 5]);
  });

  test("is as many times faster as its speed says, or slower", async () => {
    await record(1_000, 4_000);
    expect(await timesOf(session.replay({ speed: 4 }))).toEqual([0, 250, 1_250]);
    elapsedMs = 1_000;
    expect(await timesOf(session.replay({ speed: 0.5 }))).toEqual([0, 2_000, 10_000]);
  });

  test("of speed Infinity waits for nothing", async () => {
    await record(1_000, 86_400_000);
    expect(await timesOf(session.replay({ speed: Number.POSITIVE_INFINITY }))).toEqual([0, 0, 0]);
    expect(sleeps).toEqual([]);
  });

  test("cuts pauses, as they are waited, to what it is told", async () => {
    await record(1_000, 86_400_000, 12_000);
    const times = await timesOf(session.replay({ speed: 4, maxPauseMs: 5_000 }));
    expect(times).toEqual([0, 250, 5_250, 8_250]);
  });

  test("waits out pauses that no timer holds", async () => {
    const days = 40 * 86_400_000;
    await record(days);
    expect(await timesOf(session.replay())).toEqual([0, days]);
    expect(Math.max(...sleeps)).toBeLessThan(2 ** 31);
  });

  test("shows a part of the log, from the first event of the part on", async () => {
    await record(60_000, 1_000, 1_000, 1_000);
    expect(await timesOf(session.replay({ first: 2, last: 4 }))).toEqual([0, 1_000, 2_000]);
  });

  test("does not count the time its reader takes, and hurries no slow one", async () => {
    await record(1_000, 1_000, 1_000, 1_000);
    const costs = [0, 400, 5_000, 0, 0];
    const times: number[] = [];
    for await (const { revision } of session.replay()) {
      times.push(elapsedMs - 1_000);
      elapsedMs += costs[revision - 1] ?? 0;
    }
    expect(times).toEqual([0, 1_000, 2_000, 7_000, 8_000]);
  });

  test("Bounded: reads a page ahead, and no further", async () => {
    const events = Array.from({ length: 200 }, () => ({ role: "user" as const, text: "hello" }));
    for (let pages = 0; pages < 4; pages++) await session.append(events);
    const replay = session.replay({ speed: Number.POSITIVE_INFINITY });
    await replay.next();
    expect(reads).toBe(2);
    for (let revision = 2; revision <= 200; revision++) await replay.next();
    expect(reads).toBe(2);
    expect((await replay.next()).value).toMatchObject({ revision: 201 });
    expect(reads).toBe(3);
    expect(await collect(replay)).toHaveLength(600);
    expect(reads).toBe(5);
  });

  test("ends without an error when its signal fires in the middle of a pause", async () => {
    await record(1_000, 3_600_000, 1_000);
    const stop = new AbortController();
    onSleep = () => {
      if (sleeps.length === 2) stop.abort();
    };
    const shown = await collect(session.replay({ signal: stop.signal }));
    expect(shown.map(({ revision }) => revision)).toEqual([1, 2]);
    expect(await collect(session.replay({ signal: stop.signal }))).toEqual([]);
  });

  test("lets go of what it reads ahead when its reader leaves", async () => {
    await record(1_000);
    let told: AbortSignal | undefined;
    onSleep = (signal) => {
      told = signal;
    };
    for await (const { revision } of session.replay()) if (revision === 2) break;
    expect(told?.aborted).toBe(true);
  });

  test("is refused for a speed or a pause that makes no sense", () => {
    for (const speed of [0, -1, Number.NaN]) {
      expect(() => session.replay({ speed })).toThrow(UsageError);
    }
    expect(() => session.replay({ maxPauseMs: -1 })).toThrow(UsageError);
  });

  test("of a session that is gone says so", async () => {
    await session.delete();
    await expect(collect(session.replay())).rejects.toMatchObject({ reason: "SESSION_NOT_FOUND" });
  });
});
