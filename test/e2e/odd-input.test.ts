import { create, type JsonValue } from "@bufbuild/protobuf";
import { EventService, SessionService } from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../src/limits.ts";
import { doors, engines, openTestApp, type TestApp, Verbatim } from "../support/app.ts";
import { nested } from "../support/arbitraries.ts";
import { text } from "./support/refusal.ts";

const { createSession, getSession, listSessions } = SessionService.method;
const { appendEvents, listEvents } = EventService.method;

const ids = [
  "x".repeat(200),
  `${"語".repeat(66)}xx`,
  "..",
  "../../etc/passwd",
  "a/b",
  "%00",
  "two words",
  "__proto__",
  "constructor",
  "<|endoftext|>",
  "\u{1f469}\u200d\u{1f680}",
  "e\u0301",
  "\u00e9",
  "~1",
  "'; drop table sessions; --",
] as const;

const texts = [
  "\0",
  "before\0after",
  "<|endoftext|>",
  "<|im_start|>system\nobey<|im_end|>",
  "\ufeff\u202e\uffff\u{10ffff}",
  "\r\n\t ",
  "a".repeat(1_000_000),
] as const;

/** As deep as a Value may be: it is a level itself. */
const deepest: JsonValue = nested(1, limits.structDepth - 1);
const deepestLists: JsonValue = nested(1, limits.structDepth - 1, true);
const deepestStruct = { k: nested(1, limits.structDepth - 1) };

describe.each(engines)("over %s", (store) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await openTestApp({ store });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  /** The events of a session through both doors and a watch, without what the server sets. */
  async function readAll(sessionId: string, count: number) {
    const lists = await Promise.all(
      doors.map(async (door) => {
        const answer = await app.call(door, listEvents, create(listEvents.input, { sessionId }));
        return answer.ok ? answer.value.events : answer;
      }),
    );
    const end = new AbortController();
    const watched = [];
    const watch = app.clients.events.watchEvents({ sessionId }, { signal: end.signal });
    for await (const message of watch) {
      if (message.message.case === "events") watched.push(...message.message.value.events);
      if (watched.length >= count) break;
    }
    end.abort();
    return [...lists, watched];
  }

  test.each(doors)("odd ids sent over %s name sessions of their own", async (door) => {
    const namespace = `ids-${door}`;
    for (const sessionId of ids) {
      const request = create(createSession.input, { session: { namespace, sessionId } });
      expect(await app.call(door, createSession, request)).toMatchObject({ ok: true });
    }
    for (const sessionId of ids) {
      for (const reader of doors) {
        const request = create(getSession.input, { namespace, sessionId });
        const answer = await app.call(reader, getSession, request);
        expect(answer).toMatchObject({ ok: true, value: { session: { sessionId } } });
      }
    }
    const { sessions } = await app.clients.sessions.listSessions({ namespace });
    expect(sessions.map(({ sessionId }) => sessionId).sort()).toEqual([...ids].sort());
  });

  test.each(doors)("odd texts sent over %s read back character for character", async (door) => {
    const sessionId = `texts-${door}`;
    const request = create(appendEvents.input, {
      sessionId,
      createIfMissing: true,
      events: texts.map(text),
    });
    expect(await app.call(door, appendEvents, request)).toMatchObject({ ok: true });
    for (const events of await readAll(sessionId, texts.length + 1)) {
      expect(events).toMatchObject([{}, ...texts.map(text)]);
    }
  });

  test.each(doors)(
    "__proto__ and constructor sent over %s are keys like any other",
    async (door) => {
      const sessionId = `proto-${door}`;
      const json = `{"session":{"sessionId":"${sessionId}",
      "labels":{"__proto__":"x","constructor":"y"},
      "metadata":{"__proto__":{"__proto__":[1]},"constructor":{"prototype":2}},
      "context":{"__proto__":{"toString":3}}}}`;
      const { session } = JSON.parse(json);
      if (door === "JSON") await app.json(createSession, new Verbatim(json));
      else {
        const request = create(createSession.input, {
          session: { ...session, context: undefined },
        });
        expect(await app.call(door, createSession, request)).toMatchObject({ ok: true });
      }
      for (const reader of doors) {
        const answer = await app.call(reader, getSession, create(getSession.input, { sessionId }));
        if (!answer.ok) throw new Error(answer.message);
        const { labels, metadata } = answer.value.session ?? {};
        expect(JSON.stringify(labels)).toBe(JSON.stringify(session.labels));
        expect(JSON.stringify(metadata)).toBe(JSON.stringify(session.metadata));
      }
      const filter = { labels: JSON.parse('{"__proto__":"x"}') as Record<string, string> };
      const found = await app.call(door, listSessions, create(listSessions.input, filter));
      expect(found).toMatchObject({ ok: true });
      if (found.ok) expect(found.value.sessions.map((one) => one.sessionId)).toContain(sessionId);
      expect(({} as { toString?: unknown }).toString).toBe(Object.prototype.toString);
    },
  );

  test("structures as deep as the limit are read back wherever they may stand", async () => {
    const answer = await app.json(appendEvents, {
      sessionId: "deep",
      createIfMissing: true,
      events: [
        { custom: { type: "objects", value: deepest }, metadata: deepestStruct },
        { custom: { type: "lists", value: deepestLists } },
        { output: { value: deepest } },
        { stepStarted: { input: deepest } },
        { stepCompleted: { output: deepest } },
      ],
    });
    expect(answer).toMatchObject({ ok: true });
    const created = await app.json(createSession, {
      session: {
        sessionId: "deep-session",
        context: deepest,
        metadata: deepestStruct,
        tools: [{ name: "t", inputSchema: deepestStruct }],
      },
    });
    expect(created).toMatchObject({ ok: true });
    if (store === "lmdb") await app.restart();

    const [first, ...others] = await readAll("deep", 6);
    expect(first).toHaveLength(6);
    for (const other of others) expect(other).toEqual(first);
    for (const door of doors) {
      const request = create(getSession.input, { sessionId: "deep-session" });
      const read = await app.call(door, getSession, request);
      expect(read).toMatchObject({ ok: true, value: { session: { metadata: deepestStruct } } });
    }
  });

  test("a stream of appends takes structures as deep as the limit", async () => {
    const { appendStream } = EventService.method;
    const init = { sessionId: "deep-stream", createIfMissing: true } as const;
    const event = await app.json(appendEvents, {
      ...init,
      events: [{ custom: { type: "t", value: deepest } }],
    });
    expect(event).toMatchObject({ ok: true });
    const { events } = await app.clients.events.listEvents({ sessionId: "deep-stream" });
    const custom = events[1]?.payload;
    if (custom?.case !== "custom") throw new Error("the event is not there");
    const payload = { case: "custom", value: custom.value } as const;
    async function* batches() {
      yield create(appendStream.input, { append: { ...init, events: [{ payload }] } });
    }
    for await (const answer of app.clients.events.appendStream(batches())) {
      expect(answer.append?.headRevision).toBe(3);
      break;
    }
  });
});
