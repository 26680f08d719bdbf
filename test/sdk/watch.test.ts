import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  CursorInvalidError,
  DataLossError,
  HistoryGoneError,
  ServerUnavailableError,
  type Session,
  SessionDeletedError,
  type Sessiond,
  SessionNotFoundError,
} from "@sessiond/client";
import { AppendEventsRequestSchema, type EventsDamaged } from "@sessiond/contract";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { quickClient } from "./support/client.ts";
import { collect } from "./support/collect.ts";
import { failure } from "./support/failure.ts";
import { FakeSessiond } from "./support/fake-sessiond.ts";

let server: FakeSessiond;
let sessiond: Sessiond;
let session: Session;
/** Stands for the wait before an attempt to resume. */
let onWait: () => void | Promise<void>;

beforeEach(async () => {
  onWait = () => {};
  server = await FakeSessiond.start();
  sessiond = quickClient(server.address, {
    retry: { watchAttempts: Number.POSITIVE_INFINITY },
    sleep: () => onWait(),
  });
  session = await sessiond.sessions.create({ sessionId: "user-42" });
});

afterEach(async () => {
  sessiond.close();
  await server.kill();
});

const say = (text: string) => ({ role: "user", text }) as const;

/** Appends past the wire, where nothing can break. */
const append = (texts: readonly string[]) => {
  const { namespace, sessionId } = session;
  const events = texts.map((text) => ({ payload: { case: "message" as const, value: { text } } }));
  server.store.appendEvents(create(AppendEventsRequestSchema, { namespace, sessionId, events }));
};

/** Resolves when the server has seen a client give its watch up. */
const cancelled = () =>
  new Promise<void>((resolve) => {
    server.onWatchCancelled = resolve;
  });

describe("a watch", () => {
  test("Ordered: shows what is there and then what comes", async () => {
    await session.append([say("1"), say("2")]);
    const seen: string[] = [];
    for await (const event of session.watch()) {
      seen.push(event.text);
      if (seen.length === 3) await session.append(say("3"));
      if (seen.length === 4) break;
    }
    expect(seen).toEqual(["", "1", "2", "3"]);
  });

  test("from now shows nothing that was there before it opened", async () => {
    await session.append(say("before"));
    await using watch = await session.watch({ from: "now" }).open();
    await session.append(say("after"));

    expect((await watch.next()).value).toMatchObject({ revision: 3, text: "after" });
  });

  test("Resumable: an open watch knows its place before the first event", async () => {
    await session.append(say("before"));
    const watch = await session.watch({ from: "now" }).open();
    const { cursor } = watch;
    await watch.close();
    await session.append(say("after"));

    await using next = session.watch({ cursor });
    expect((await next.next()).value).toMatchObject({ revision: 3, text: "after" });
  });

  test("until ended is over after the end of the session", async () => {
    await session.append(say("1"));
    await session.end();

    const events = await collect(session.watch({ untilEnded: true }));
    expect(events.map((event) => event.type)).toEqual([
      "sessionStarted",
      "message",
      "sessionEnded",
    ]);
  });

  test("of a namespace names the session of each event", async () => {
    const other = await sessiond.sessions.create({ sessionId: "other" });
    await other.append(say("1"));
    await session.append(say("2"));

    const items = await collect(sessiond.watch(), 4);
    expect(items.map(({ sessionId, event }) => [sessionId, event.revision])).toEqual([
      ["user-42", 1],
      ["other", 1],
      ["other", 2],
      ["user-42", 2],
    ]);
  });

  test("of a namespace reports a deleted session between its events", async () => {
    await session.delete();
    await sessiond.sessions.create({ sessionId: "next" });
    const seen: string[] = [];
    const onSessionDeleted = ({ sessionId }: { sessionId: string }) => {
      seen.push(`deleted ${sessionId}`);
    };
    for await (const { sessionId } of sessiond.watch({ onSessionDeleted })) {
      seen.push(sessionId);
      if (sessionId === "next") break;
    }
    expect(seen).toEqual(["user-42", "deleted user-42", "next"]);
  });
});

describe("a namespace watch that comes to damaged events", () => {
  const damage = async () => {
    const { namespace, sessionId, uid } = session;
    server.store.log.push({ namespace, sessionId, sessionUid: uid, events: [], damaged: true });
    await sessiond.sessions.create({ sessionId: "next" });
  };

  test("fails and names them, because nobody said that they may be left out", async () => {
    await damage();
    const reading = collect(sessiond.watch(), 2);
    await expect(reading).rejects.toThrow(DataLossError);
    await expect(reading).rejects.toThrow('events 2 to 3 of session "user-42" are damaged');
  });

  test("tells those who asked, and goes on", async () => {
    await damage();
    const seen: string[] = [];
    const onEventsDamaged = ({ firstRevision, lastRevision }: EventsDamaged) => {
      seen.push(`damaged ${firstRevision} to ${lastRevision}`);
    };
    for await (const { sessionId } of sessiond.watch({ onEventsDamaged })) {
      seen.push(sessionId);
      if (sessionId === "next") break;
    }
    expect(seen).toEqual(["user-42", "damaged 2 to 3", "next"]);
  });
});

describe("the cursor of a watch", () => {
  test("Resumable: a second watch continues behind the first", async () => {
    await session.append(say("1"));
    await session.append(say("2"));
    const first = session.watch();
    await collect(first, 2);

    const second = await collect(session.watch({ cursor: first.cursor }), 1);
    expect(second.map((event) => event.text)).toEqual(["2"]);
  });

  test("stays before a batch until the last event of it was handed out", async () => {
    await session.append([say("1"), say("2"), say("3")]);
    const cursors: string[] = [];
    for await (const { event, cursor } of sessiond.watch()) {
      cursors.push(cursor);
      if (event.text === "3") break;
    }
    const [started, ...batch] = cursors;
    expect(batch.slice(0, 2)).toEqual([started, started]);
    expect(batch[2]).not.toBe(started);

    const repeated = await collect(session.watch({ cursor: batch[1] }), 3);
    expect(repeated.map((event) => event.text)).toEqual(["1", "2", "3"]);
  });
});

describe("a watch whose server is killed", () => {
  test("Gapless, Unique: resumes by itself at whatever event it happens", async () => {
    const batches = [["a"], ["b", "c"], ["d", "e", "f"], ["g"], ["h", "i"]];
    onWait = async () => {
      await server.restart();
      // Two at once, so that one may be on its way when the server is killed again.
      for (const batch of batches.splice(0, 2)) append(batch);
    };
    const seen: string[] = [];
    for await (const event of session.watch()) {
      seen.push(`${event.revision}${event.text}`);
      await server.kill();
      if (event.text === "i") break;
    }
    expect(seen).toEqual(["1", "2a", "3b", "4c", "5d", "6e", "7f", "8g", "9h", "10i"]);
    expect(server.callsOf("WatchEvents").length).toBeGreaterThan(3);
  });

  test("continues when the server ends the stream as it shuts down", async () => {
    let times = 0;
    server.before = ({ method }) => {
      if (method === "WatchEvents" && times++ < 2) {
        throw failure({ code: status.UNAVAILABLE, reason: "SHUTTING_DOWN" });
      }
    };
    const [event] = await collect(session.watch(), 1);
    expect(event?.revision).toBe(1);
    expect(times).toBe(3);
  });

  test("continues when the server cancels its calls as it goes down", async () => {
    const watch = session.watch();
    await watch.next();
    onWait = async () => {
      onWait = () => {};
      await server.restart();
      append(["1"]);
    };
    await server.kill("cancel");

    expect((await watch.next()).value?.text).toBe("1");
    await watch.close();
  });

  test("asks for the place behind the last delivered batch", async () => {
    await session.append(say("1"));
    const watch = session.watch();
    await watch.next();
    await watch.next();
    onWait = async () => {
      onWait = () => {};
      await server.restart();
      append(["2"]);
    };
    await server.kill();

    expect((await watch.next()).value?.text).toBe("2");
    expect(server.callsOf("WatchEvents").map(({ request }) => request.cursor)).toEqual(["", "2"]);
    await watch.close();
  });

  test("gives up after as many attempts in a row as the option says", async () => {
    let waits = 0;
    await using counting = quickClient(server.address, {
      retry: { watchAttempts: 5 },
      sleep: () => {
        waits += 1;
      },
    });
    const watch = (await counting.sessions.get("user-42")).watch();
    await watch.next();
    await server.kill();

    await expect(watch.next()).rejects.toBeInstanceOf(ServerUnavailableError);
    expect(waits).toBe(4);
  });

  test("that was never reached fails after the attempts of a call", async () => {
    let waits = 0;
    onWait = () => {
      waits += 1;
    };
    await server.kill();
    await expect(session.watch().open()).rejects.toBeInstanceOf(ServerUnavailableError);
    expect(waits).toBe(2);
  });
});

describe("a watch that cannot go on", () => {
  test.each([
    ["HISTORY_GONE", status.OUT_OF_RANGE, HistoryGoneError],
    ["CURSOR_INVALID", status.OUT_OF_RANGE, CursorInvalidError],
    ["SESSION_DELETED", status.NOT_FOUND, SessionDeletedError],
  ])("throws %s by its name, and asks once", async (reason, code, type) => {
    server.before = () => {
      throw failure({ code, reason });
    };
    const error = await collect(session.watch({ cursor: "x" })).catch((e: unknown) => e);

    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ reason, sessionId: "user-42" });
    expect(server.callsOf("WatchEvents")).toHaveLength(1);
  });

  test("throws when the session is not there", async () => {
    await session.delete();
    await expect(session.watch().open()).rejects.toBeInstanceOf(SessionNotFoundError);
  });

  test("throws when it cannot resume behind what it delivered", async () => {
    const watch = session.watch();
    await watch.next();
    server.before = () => {
      throw failure({ code: status.OUT_OF_RANGE, reason: "HISTORY_GONE" });
    };
    server.dropConnections();
    await expect(watch.next()).rejects.toBeInstanceOf(HistoryGoneError);
  });
});

describe("the end of a watch", () => {
  test("aborting the signal ends the iteration without an error, and the call", async () => {
    const controller = new AbortController();
    const gone = cancelled();
    const seen = [];
    for await (const event of session.watch({ signal: controller.signal })) {
      seen.push(event.revision);
      controller.abort();
    }
    await gone;
    expect(seen).toEqual([1]);
  });

  test("aborting the signal ends a read that waits", async () => {
    const controller = new AbortController();
    const watch = session.watch({ signal: controller.signal });
    await watch.next();
    const waiting = watch.next();
    controller.abort();
    expect((await waiting).done).toBe(true);
  });

  test("a signal that aborted before asks the server for nothing", async () => {
    expect(await collect(session.watch({ signal: AbortSignal.abort() }))).toEqual([]);
    expect(server.callsOf("WatchEvents")).toEqual([]);
  });

  test("leaving the loop ends the call", async () => {
    const gone = cancelled();
    for await (const _ of session.watch()) break;
    await gone;
  });

  test("close ends a read that waits", async () => {
    const watch = session.watch();
    await watch.next();
    const waiting = watch.next();
    await watch.close();
    expect((await waiting).done).toBe(true);
  });

  test("closing the client ends its watches", async () => {
    const watch = session.watch();
    await watch.next();
    const waiting = watch.next();
    sessiond.close();
    expect((await waiting).done).toBe(true);
  });

  test("aborting ends the attempts to resume", async () => {
    const controller = new AbortController();
    const watch = session.watch({ signal: controller.signal });
    await watch.next();
    let waits = 0;
    onWait = () => {
      waits += 1;
      if (waits === 3) controller.abort();
    };
    await server.kill();
    expect((await watch.next()).done).toBe(true);
    expect(waits).toBe(3);
  });
});

test("Bounded: a reader that does not read holds a few messages, not the stream", async () => {
  const text = "x".repeat(64 * 1024);
  for (let i = 0; i < 400; i++) await session.append(say(text));
  const watch = session.watch();
  await watch.next();

  // Answered calls on the same connection stand for time in which messages could have come.
  for (let i = 0; i < 200; i++) await session.refresh();
  expect(server.watchMessages).toBeLessThan(100);

  expect(await collect(watch, 400)).toHaveLength(400);
  expect(server.watchMessages).toBeGreaterThan(400);
});
