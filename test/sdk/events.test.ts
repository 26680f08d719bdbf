import { RevisionConflictError, type Session, Sessiond, SessionEndedError } from "@sessiond/client";
import { Role } from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { collect } from "./support/collect.ts";
import { FakeSessiond } from "./support/fake-sessiond.ts";

let server: FakeSessiond;
let sessiond: Sessiond;
let session: Session;

beforeEach(async () => {
  server = await FakeSessiond.start();
  sessiond = new Sessiond(server.address);
  session = await sessiond.sessions.create({ sessionId: "user-42" });
});

afterEach(async () => {
  sessiond.close();
  await server.kill();
});

test("an appended message is read back with its words", async () => {
  const before = Date.now();
  const result = await session.append({ role: "user", text: "I want to visit Japan next month" });
  const [event] = await collect(session.events({ first: 2 }));

  expect(result).toMatchObject({ revisions: [2], headRevision: 2, isDurable: true });
  expect(session.headRevision).toBe(2);
  expect(event).toMatchObject({
    revision: 2,
    type: "message",
    role: "user",
    text: "I want to visit Japan next month",
  });
  expect(event?.createTime.getTime()).toBeGreaterThanOrEqual(before);
});

test("an array of events is one call", async () => {
  await session.append([
    { thinking: "flights first" },
    { toolCall: { callId: "1", name: "flights", arguments: { to: "HND" } } },
    { toolResult: { callId: "1", content: "3 flights" } },
    { role: "assistant", text: "There are three." },
  ]);
  const events = await collect(session.events({ first: 2 }));

  expect(server.callsOf("AppendEvents")).toHaveLength(1);
  expect(events.map(({ type, text }) => [type, text])).toEqual([
    ["thinking", "flights first"],
    ["toolCall", ""],
    ["toolResult", "3 flights"],
    ["message", "There are three."],
  ]);
  expect(events[1]?.toolCall).toMatchObject({ name: "flights", arguments: '{"to":"HND"}' });
  expect(events[2]?.toolResult).toMatchObject({ callId: "1", isError: false, isFinal: true });
});

test("everything an event may carry arrives", async () => {
  const raw = { format: "openai-chat", json: '{"role": "user"}' };
  await session.append({
    role: "user",
    text: "hello",
    eventId: "e1",
    author: "ann",
    kind: "goal",
    durationMs: 1_500,
    metadata: { nested: { ok: true } },
    usage: { inputTokens: 7, model: "gpt-4o" },
    raw,
    trace: { traceparent: "00-1-2-01" },
  });
  const [event] = await collect(session.events({ first: 2 }));

  expect(event).toMatchObject({
    author: "ann",
    kind: "goal",
    metadata: { nested: { ok: true } },
    message: {
      eventId: "e1",
      duration: { seconds: 1n, nanos: 500_000_000 },
      usage: { inputTokens: 7, model: "gpt-4o" },
      raw,
      trace: { traceparent: "00-1-2-01" },
    },
  });
});

test("a provider's item that is an object is written as JSON", async () => {
  const item = { role: "user", content: [{ type: "input_text", text: "hello" }] };
  await session.append({ role: "user", text: "hello", raw: { format: "openai", json: item } });
  const [event] = await collect(session.events({ first: 2 }));
  expect(event?.message.raw?.format).toBe("openai");
  expect(JSON.parse(event?.message.raw?.json ?? "")).toEqual(item);
});

test("arguments that are text arrive byte for byte", async () => {
  const text = '{"to" :"HND",  "n":1.0}';
  await session.append({ toolCall: { callId: "1", name: "flights", arguments: text } });
  const [event] = await collect(session.events({ first: 2 }));
  expect(event?.toolCall?.arguments).toBe(text);
});

test("a payload without a short form goes as the contract has it", async () => {
  await session.append({
    role: Role.ASSISTANT,
    payload: { case: "handoff", value: { from: "travel", to: "hotels" } },
  });
  const [event] = await collect(session.events({ first: 2 }));

  expect(event).toMatchObject({ type: "handoff", role: "assistant", text: "" });
  expect(event?.message.payload.value).toMatchObject({ to: "hotels" });
});

test("events lists a range in the order asked for, over all pages", async () => {
  for (let i = 2; i <= 9; i++) await session.append({ role: "user", text: `${i}` });
  const query = { first: 3, last: 8, order: "newest", pageSize: 2 } as const;

  const events = await collect(session.events(query));
  expect(events.map((event) => event.revision)).toEqual([8, 7, 6, 5, 4, 3]);
  expect(server.callsOf("ListEvents")).toHaveLength(3);
});

test("an append that expected another revision says which one it found", async () => {
  await session.append({ role: "user", text: "1" }, { expectedRevision: 1 });
  const late = session.append({ role: "user", text: "2" }, { expectedRevision: 1 });

  const error = await late.catch((e: unknown) => e);
  expect(error).toBeInstanceOf(RevisionConflictError);
  expect(error).toMatchObject({ expected: 1, actual: 2 });
});

test("an append to an ended session says in which state it is", async () => {
  await session.end();
  const error = await session.append({ role: "user", text: "late" }).catch((e: unknown) => e);

  expect(error).toBeInstanceOf(SessionEndedError);
  expect(error).toMatchObject({ state: "COMPLETED", sessionId: "user-42" });
});
