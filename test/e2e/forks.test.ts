import type { DescMethodUnary } from "@bufbuild/protobuf";
import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  ContextService,
  type Event,
  EventService,
  SessionParentKind,
  SessionService,
  SessionState,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  type Answer,
  type Door,
  doors,
  engines,
  openTestApp,
  type TestApp,
} from "../support/app.ts";
import { userText } from "../support/domain.ts";

const { createSession, getSession, listSessions, forkSession, deleteSession, endSession } =
  SessionService.method;
const { appendEvents, listEvents } = EventService.method;
const { getContextWindow } = ContextService.method;
const sessionId = "demo";

/** Calls through one of the doors. */
function caller(app: TestApp, door: Door) {
  return <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<Answer<MessageShape<O>>> => app.call(door, method, create(method.input, request));
}

const wordsOf = ({ payload }: Event) =>
  payload.case === "message" ? payload.value.text : payload.case;

const inherited = ["sessionStarted", "one", "two"];

describe.each(engines)("on the %s store", (store) => {
  describe.each(doors)("over %s", (door) => {
    test("a fork goes on by itself, outlives its parent, and is forked again", async () => {
      await using app = await openTestApp({ store });
      const call = caller(app, door);
      const logOf = async (id: string) => {
        const answer = await call(listEvents, { sessionId: id });
        return answer.ok ? answer.value.events.map(wordsOf) : answer.reason;
      };
      await call(createSession, { session: { sessionId, agentId: "travel", title: "Japan" } });
      const events = ["one", "two", "three"].map(userText);
      await call(appendEvents, { sessionId, events });

      const request = {
        sessionId,
        revision: 3,
        newSessionId: "fork",
        session: { title: "by train", limits: { maxSteps: 5 } },
        requestId: "r",
      };
      const forked = await call(forkSession, request);
      const parent = { sessionId, revision: 3, kind: SessionParentKind.FORK };
      expect(forked).toMatchObject({
        value: {
          session: {
            sessionId: "fork",
            parent,
            headRevision: 4,
            state: SessionState.ACTIVE,
            agentId: "travel",
            title: "by train",
            limits: { maxSteps: 5 },
          },
        },
      });
      await call(appendEvents, { sessionId: "fork", events: [userText("four")] });
      await call(appendEvents, { sessionId, events: [userText("elsewhere")] });
      expect(await call(forkSession, request)).toEqual(forked);
      expect(await logOf("fork")).toEqual([...inherited, "forked", "four"]);
      expect(await logOf(sessionId)).toEqual([...inherited, "three", "elsewhere"]);

      const listed = await call(listSessions, { filter: 'session.title == "by train"' });
      expect(listed).toMatchObject({ value: { sessions: [{ sessionId: "fork", parent }] } });

      await call(endSession, { sessionId });
      await call(deleteSession, { sessionId });
      expect(await logOf(sessionId)).toBe("SESSION_NOT_FOUND");
      expect(await logOf("fork")).toEqual([...inherited, "forked", "four"]);
      expect(await call(getContextWindow, { sessionId: "fork" })).toMatchObject({
        value: { items: [{}, {}, {}], headRevision: 5 },
      });
      await call(forkSession, { sessionId: "fork", revision: 2, newSessionId: "fork-2" });
      await call(deleteSession, { sessionId: "fork" });
      expect(await logOf("fork-2")).toEqual(["sessionStarted", "one", "forked"]);
      expect(await call(getSession, { sessionId: "fork-2" })).toMatchObject({
        value: { session: { parent: { sessionId: "fork", revision: 2 } } },
      });
    });
  });
});

test("Durable: forks survive restarts, with their parents deleted before and after", async () => {
  await using app = await openTestApp({ store: "lmdb" });
  const logOf = async (id: string) => {
    const { events } = await app.clients.events.listEvents({ sessionId: id, pageSize: 1_000 });
    expect(events.map(({ revision }) => revision)).toEqual(events.map((_, index) => index + 1));
    return events;
  };
  const texts = Array.from({ length: 200 }, (_, index) => `text ${index}`);
  await app.clients.events.appendEvents({
    sessionId,
    createIfMissing: true,
    events: texts.map(userText),
  });
  const original = await logOf(sessionId);
  await app.clients.sessions.forkSession({ sessionId, revision: 150, newSessionId: "a" });
  await app.clients.events.appendEvents({ sessionId: "a", events: [userText("own")] });
  await app.clients.sessions.deleteSession({ sessionId });
  await app.restart();
  const a = await logOf("a");
  expect(a.slice(0, 150)).toEqual(original.slice(0, 150));
  expect(a.slice(150).map(wordsOf)).toEqual(["forked", "own"]);
  await app.clients.sessions.forkSession({ sessionId: "a", revision: 151, newSessionId: "b" });
  await app.clients.events.appendEvents({ sessionId: "b", events: [userText("its own")] });
  await app.clients.sessions.deleteSession({ sessionId: "a" });
  await app.restart();
  const b = await logOf("b");
  expect(b.slice(0, 151)).toEqual(a.slice(0, 151));
  expect(b.slice(151).map(wordsOf)).toEqual(["forked", "its own"]);
  await app.clients.events.appendEvents({ sessionId: "b", events: [userText("more")] });
  expect((await logOf("b")).at(-1)).toMatchObject({ revision: 154 });
});
