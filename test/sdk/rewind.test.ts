import {
  CallHiddenError,
  RevisionOutOfRangeError,
  RewindCrossesEndError,
  type Session,
  Sessiond,
  UsageError,
} from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let session: Session;
let namespaces = 0;

beforeAll(async () => {
  server = await startInMemory();
});

/** Every test has a namespace to itself, and a session of five events in it. */
beforeEach(async () => {
  sessiond = new Sessiond({ address: server.address, namespace: `test-${++namespaces}` });
  session = await sessiond.sessions.create({ sessionId: "trip" });
  await session.append({ role: "user", text: "to Japan" });
  await session.append([
    { toolCall: { callId: "1", name: "flights", arguments: {} } },
    { toolResult: { callId: "1", content: "3 flights" } },
  ]);
  await session.append({ role: "assistant", text: "There are three." });
});

afterEach(() => sessiond.close());

afterAll(() => server.stop());

const textsOf = async (includeHidden = false) => {
  const events = await collect(session.events({ includeHidden }));
  return events.map(({ type, text }) => text || type);
};
const all = ["sessionStarted", "to Japan", "toolCall", "3 flights", "There are three."];

test("hides the newest events by revision or by groups, and shows them on request", async () => {
  const result = await session.rewind({ revision: 3 });
  expect(result).toMatchObject({ revision: 6, visibleThrough: 2 });
  expect(result.usage.windowTokens).toBeGreaterThan(0);
  expect(session.headRevision).toBe(6);
  expect(await textsOf()).toEqual(["sessionStarted", "to Japan", "rewind"]);
  expect(await textsOf(true)).toEqual([...all, "rewind"]);
  expect(await collect(session.steps())).toEqual([]);
  expect(await collect(session.steps({ includeHidden: true }))).toHaveLength(2);
  expect(await session.messages("openai-chat")).toEqual([{ role: "user", content: "to Japan" }]);
  await session.append({ role: "assistant", text: "Let me think." });
  expect((await session.rewind({ groups: 2 })).visibleThrough).toBe(1);
});

test("a redo brings back what the newest rewind hid, and another one hides it again", async () => {
  const before = await session.messages("openai-chat");
  expect(await session.redo()).toMatchObject({ revision: 0 });
  await session.rewind({ groups: 2 });
  const requestId = "redo";
  const first = await session.redo({ requestId });
  expect(await session.redo({ requestId })).toEqual(first);
  expect(first).toMatchObject({ revision: 7, visibleThrough: 5 });
  expect(await session.messages("openai-chat")).toEqual(before);
  await session.redo();
  expect(await session.messages("openai-chat")).toHaveLength(1);
  await session.append({ role: "user", text: "by ship" });
  expect(await session.redo()).toMatchObject({ revision: 0 });
});

test("pop gives the newest group, clear hides all of them", async () => {
  expect((await session.pop()).map(({ text }) => text)).toEqual(["There are three."]);
  await session.append({ role: "assistant", text: "None, sorry." });
  expect((await session.pop()).map(({ text }) => text)).toEqual(["None, sorry."]);
  expect((await session.pop()).map(({ type }) => type)).toEqual(["toolCall", "toolResult"]);
  expect((await session.clear()).visibleThrough).toBe(1);
  expect((await session.contextWindow()).items).toEqual([]);
  expect(await session.pop()).toEqual([]);
  expect(await textsOf(true)).toHaveLength(10);
});

test("a replay shows what happened, hidden or not", async () => {
  await session.clear();
  const events = await collect(session.replay({ speed: Number.POSITIVE_INFINITY }));
  expect(events.map(({ text, type }) => text || type)).toEqual([...all, "rewind"]);
});

test("errors have their classes, and say what to do", async () => {
  await expect(session.rewind({ revision: 9 })).rejects.toBeInstanceOf(RevisionOutOfRangeError);
  await expect(session.rewind({ groups: 1.5 })).rejects.toBeInstanceOf(UsageError);
  await session.append({ toolCall: { callId: "2", name: "hotels", arguments: {} } });
  await session.pop();
  const late = session.append({ toolResult: { callId: "2", content: "late" } });
  await expect(late).rejects.toBeInstanceOf(CallHiddenError);
  await expect(late).rejects.toMatchObject({ callId: "2", callRevision: 6 });
  await session.end();
  await session.reopen();
  const across = session.clear();
  await expect(across).rejects.toBeInstanceOf(RewindCrossesEndError);
  await expect(across).rejects.toMatchObject({ revision: 1, endRevision: 8 });
});
