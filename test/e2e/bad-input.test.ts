import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  EventService,
  SessionService,
  type WatchEventsRequestSchema,
  WatchStart,
} from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { doors, openTestApp, refusalOf, type TestApp } from "../support/app.ts";
import { rows } from "./support/bad-requests.ts";
import { createKept, expectRefusal, text } from "./support/refusal.ts";

let app: TestApp;

beforeAll(async () => {
  app = await openTestApp();
  await createKept(app);
});

afterAll(() => app[Symbol.asyncDispose]());

describe.each(doors)("over %s", (door) => {
  test.each(rows)("refused by name, and nothing is stored: $name", async (row) => {
    await expectRefusal(app, () => app.call(door, row.method, row.request), row);
  });

  test("a page token is good for its own query only", async () => {
    const { listEvents } = EventService.method;
    const { listSessions } = SessionService.method;
    const first = await app.clients.events.listEvents({ sessionId: "kept", pageSize: 1 });
    const pageToken = first.nextPageToken;
    expect(pageToken).not.toBe("");
    await app.clients.sessions.createSession({ session: { sessionId: "another" }, ifExists: 2 });

    const expected = { reason: "PAGE_TOKEN_INVALID", says: "of another query" };
    const queries = [
      { sessionId: "another" },
      { sessionId: "kept", firstRevision: 2 },
      { sessionId: "kept", lastRevision: 2 },
      { sessionId: "kept", order: 2 },
    ];
    for (const query of queries) {
      const request = create(listEvents.input, { ...query, pageToken });
      await expectRefusal(app, () => app.call(door, listEvents, request), expected);
    }
    const request = create(listSessions.input, { pageToken });
    await expectRefusal(app, () => app.call(door, listSessions, request), expected);
  });

  test("a list of sessions goes on with the same filters only", async () => {
    const { createSession, listSessions } = SessionService.method;
    for (const sessionId of ["labelled-1", "labelled-2"]) {
      const session = { sessionId, agentId: "bot", labels: { a: "1", b: "2" } };
      await app.call(door, createSession, create(createSession.input, { session, ifExists: 2 }));
    }
    const filters = { agentId: "bot", labels: { a: "1", b: "2" } };
    const first = await app.clients.sessions.listSessions({ ...filters, pageSize: 1 });
    const pageToken = first.nextPageToken;
    const reordered = { ...filters, labels: { b: "2", a: "1" }, pageToken };
    const next = await app.call(door, listSessions, create(listSessions.input, reordered));
    expect(next).toMatchObject({ ok: true, value: { sessions: [{ agentId: "bot" }] } });

    const queries = [
      { ...filters, agentId: "other" },
      { ...filters, userId: "someone" },
      { ...filters, labels: { a: "1" } },
      { ...filters, order: 2 },
      { ...filters, namespace: "other" },
    ];
    for (const query of queries) {
      const request = create(listSessions.input, { ...query, pageToken });
      await expectRefusal(app, () => app.call(door, listSessions, request), {
        reason: "PAGE_TOKEN_INVALID",
        says: "of another query",
      });
    }
  });
});

/** What a watch ends with. */
async function watchFailure(request: MessageInitShape<typeof WatchEventsRequestSchema>) {
  try {
    for await (const _message of app.clients.events.watchEvents(request)) {
      throw new Error("the watch was opened");
    }
  } catch (error) {
    return refusalOf(ConnectError.from(error));
  }
  throw new Error("the watch ended well");
}

async function cursorOf(request: MessageInitShape<typeof WatchEventsRequestSchema>) {
  const end = new AbortController();
  const watch = app.clients.events.watchEvents(request, { signal: end.signal });
  for await (const { cursor } of watch) {
    end.abort();
    return cursor;
  }
  throw new Error("the watch said nothing");
}

describe("watches", () => {
  const outOfRange = { code: "OutOfRange", reason: "CURSOR_INVALID" } as const;

  test.each([
    "nonsense",
    "$$$",
    "A".repeat(100_000),
    "\0",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  ])("a cursor that is none is refused: %.10s", async (cursor) => {
    await expectRefusal(app, () => watchFailure({ sessionId: "kept", cursor }), outOfRange);
    await expectRefusal(app, () => watchFailure({ cursor }), outOfRange);
  });

  test("a cursor of another session, of the namespace, or of another store is refused", async () => {
    await app.clients.sessions.createSession({ session: { sessionId: "other" }, ifExists: 2 });
    const ofOther = await cursorOf({ sessionId: "other" });
    const ofNamespace = await cursorOf({ start: WatchStart.NOW });
    await using elsewhere = await openTestApp();
    await createKept(elsewhere);
    await elsewhere.clients.sessions.createSession({ session: { sessionId: "other" } });
    for (const cursor of [ofOther, ofNamespace]) {
      const refused = () => watchFailure({ sessionId: "kept", cursor });
      await expectRefusal(app, refused, { ...outOfRange, says: "another" });
    }
    const watch = elsewhere.clients.events.watchEvents({ cursor: ofNamespace });
    await expect(watch[Symbol.asyncIterator]().next()).rejects.toThrow("another store");
  });

  test("a bad request to watch is refused by name", async () => {
    const unknown = { code: "NotFound", reason: "SESSION_NOT_FOUND" } as const;
    await expectRefusal(app, () => watchFailure({ sessionId: "nobody" }), unknown);
    const half = () => watchFailure({ untilEnded: true });
    await expectRefusal(app, half, { field: "until_ended" });
    await expectRefusal(app, () => watchFailure({ start: 9 as 1 }), { field: "start" });
    await expectRefusal(app, () => watchFailure({ sessionId: " x" }), { field: "session_id" });
  });
});

test("a bad batch of a stream of appends is refused by name and not stored", async () => {
  const { appendStream } = EventService.method;
  async function* batches() {
    yield create(appendStream.input, {
      append: { sessionId: "fresh", createIfMissing: true, events: [text("ok"), {}] },
    });
  }
  const run = async () => {
    try {
      for await (const _answer of app.clients.events.appendStream(batches())) break;
      return { ok: true };
    } catch (error) {
      return refusalOf(ConnectError.from(error));
    }
  };
  await expectRefusal(app, run, { field: "events[1]" });
});
