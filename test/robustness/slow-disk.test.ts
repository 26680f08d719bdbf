import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { needs } from "../support/needs.ts";
import { startServer } from "../support/server-process.ts";
import { attach, canTrace, type SystemCall } from "../support/strace.ts";
import { type Connection, connect } from "./connection.ts";
import { messageTo } from "./requests.ts";

/** What a client saw of an event: moments of the wall clock, in milliseconds. */
interface Seen {
  readonly sentMs: number;
  readonly acknowledgedMs: number;
  /** When the event came out of the watch. */
  readonly deliveredMs: number;
  /** Ends of the reads that showed it, and of those that did not. */
  readonly readMs: readonly number[];
  readonly notReadMs: readonly number[];
}

const inject = ["fdatasync:delay_enter=300000", "pwrite64:delay_exit=50000"];
const appends = 4;

describe.skipIf(!needs("strace", canTrace))("a disk that takes its time to sync", () => {
  const seen: Seen[] = [];
  let calls: readonly SystemCall[] = [];

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), "sessiond-slow-"));
    {
      await using server = await startServer({ data: folder });
      using connection = connect(server.address);
      await connection.http.appendEvents(messageTo({ sessionId: "s", requestId: "first" }));
      const delivered = await watch(connection);
      await using trace = await attach(server.pid, inject);
      for (let index = 0; index < appends; index++) {
        seen.push(await observe(connection, `request-${index}`, delivered));
      }
      calls = trace.calls();
    }
    await rm(folder, { recursive: true });
  }, 60_000);

  it("Durable: no acknowledgement comes before the sync and the root page of its commit", () => {
    for (const { sentMs, acknowledgedMs } of seen) {
      expect(acknowledgedMs).toBeGreaterThanOrEqual(durableMs(calls, sentMs));
    }
  });

  it("Durable before visible: no watch shows an event earlier", () => {
    for (const { sentMs, deliveredMs } of seen) {
      expect(deliveredMs).toBeGreaterThanOrEqual(durableMs(calls, sentMs));
    }
  });

  it("Durable before visible: no read shows an event earlier", () => {
    for (const { sentMs, readMs } of seen) {
      for (const ms of readMs) expect(ms).toBeGreaterThanOrEqual(durableMs(calls, sentMs));
    }
  });

  it("holds up no read while it syncs", () => {
    for (const { sentMs, notReadMs } of seen) {
      const during = notReadMs.filter((ms) => ms < durableMs(calls, sentMs));
      expect(during.length).toBeGreaterThan(0);
    }
  });
});

/**
 * When the commit of an event sent at that moment was durable, cut to whole milliseconds as the
 * client's clock: its data was synced, then the page written that makes it count.
 */
function durableMs(calls: readonly SystemCall[], sentMs: number): number {
  const sync = calls.find(({ name, beginMs }) => name === "fdatasync" && beginMs >= sentMs);
  const root = calls.find(
    ({ name, beginMs }) => name === "pwrite64" && beginMs >= (sync?.endMs ?? Infinity),
  );
  if (root === undefined) throw new Error("no commit was traced");
  return Math.floor(root.endMs);
}

/** Appends while reading, one read after another, until the event was acknowledged and delivered. */
async function observe(
  connection: Connection,
  requestId: string,
  delivered: (eventId: string) => Promise<number>,
): Promise<Seen> {
  const sentMs = Date.now();
  const acknowledged = connection.grpc
    .appendEvents(messageTo({ sessionId: "s", requestId }))
    .then(() => Date.now());
  const moments = Promise.all([acknowledged, delivered(requestId)]);
  let isOver = false;
  moments.finally(() => {
    isOver = true;
  });
  const readMs: number[] = [];
  const notReadMs: number[] = [];
  while (!isOver) {
    const isShown = await reads(connection, requestId);
    (isShown ? readMs : notReadMs).push(Date.now());
  }
  const [acknowledgedMs, deliveredMs] = await moments;
  return { sentMs, acknowledgedMs, deliveredMs, readMs, notReadMs };
}

/** Whether a list or the head shows an event. */
async function reads({ http, sessions }: Connection, eventId: string): Promise<boolean> {
  const { session } = await sessions.getSession({ sessionId: "s" });
  const { events } = await http.listEvents({ sessionId: "s" });
  const isListed = events.some((event) => event.eventId === eventId);
  return isListed || (session?.headRevision ?? 0) > events.length;
}

/** Opens a watch. What it returns waits for an event and gives the moment it came. */
async function watch({ grpc }: Connection): Promise<(eventId: string) => Promise<number>> {
  const moments = new Map<string, PromiseWithResolvers<number>>();
  const momentOf = (eventId: string) => {
    const known = moments.get(eventId) ?? Promise.withResolvers<number>();
    moments.set(eventId, known);
    return known;
  };
  const opened = Promise.withResolvers<void>();
  const follow = async () => {
    for await (const { message } of grpc.watchEvents({ sessionId: "s" }, { timeoutMs: 0 })) {
      opened.resolve();
      if (message.case !== "events") continue;
      for (const { eventId } of message.value.events) momentOf(eventId).resolve(Date.now());
    }
  };
  // Ends with its server, which is killed in the end.
  follow().catch(opened.reject);
  await opened.promise;
  return (eventId) => momentOf(eventId).promise;
}
