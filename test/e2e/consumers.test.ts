import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type ConsumedBatch, Sessiond } from "@sessiond/client";
import {
  CommitCursorRequestSchema,
  ConsumerService,
  CreateConsumerRequestSchema,
  DeleteConsumerRequestSchema,
  GetConsumerRequestSchema,
  ListConsumersRequestSchema,
} from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { doors, openTestApp, type TestApp } from "../support/app.ts";
import { startServer } from "../support/server-process.ts";

const { createConsumer, getConsumer, listConsumers, deleteConsumer, commitCursor } =
  ConsumerService.method;

describe.each(doors)("over %s", (door) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await openTestApp({ store: "lmdb" });
    const { clients } = app;
    const events = [{ payload: { case: "message" as const, value: { text: "hello" } } }];
    await clients.events.appendEvents({ sessionId: "demo", createIfMissing: true, events });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  test("a consumer is created, read, committed, listed and deleted", async () => {
    const consumer = { name: "audit", filter: 'event.type == "message"' };
    const request = create(CreateConsumerRequestSchema, { consumer, requestId: "r1" });
    const made = await app.call(door, createConsumer, request);
    expect(made).toMatchObject({ ok: true, value: { consumer: { ...consumer, lag: 1 } } });
    expect(await app.call(door, createConsumer, request)).toEqual(made);

    const ended = new AbortController();
    let lease = "";
    let cursor = "";
    for await (const message of app.clients.events.watchEvents(
      { consumer: "audit", reader: "test" },
      { signal: ended.signal },
    )) {
      if (message.message.case === "created") lease = message.message.value.lease;
      if (message.message.case !== "events") continue;
      expect(message.message.value.events.map(({ revision }) => revision)).toEqual([2]);
      cursor = message.cursor;
      break;
    }
    const name = { name: "audit" };
    const held = await app.call(door, getConsumer, create(GetConsumerRequestSchema, name));
    expect(held).toMatchObject({ ok: true, value: { consumer: { reader: { name: "test" } } } });
    const unleased = create(CommitCursorRequestSchema, { ...name, cursor });
    expect(await app.call(door, commitCursor, unleased)).toMatchObject({
      ok: false,
      code: "FailedPrecondition",
      reason: "CONSUMER_IN_USE",
      metadata: { consumer: "audit", reader: "test" },
    });
    const foreign = { ...unleased, lease: "another" };
    expect(await app.call(door, commitCursor, foreign)).toMatchObject({
      ok: false,
      code: "Aborted",
      reason: "CONSUMER_TAKEN_OVER",
    });
    const committed = await app.call(door, commitCursor, { ...unleased, lease });
    expect(committed).toMatchObject({ ok: true, value: { cursor, lag: 0 } });
    ended.abort();
    const list = await app.call(door, listConsumers, create(ListConsumersRequestSchema));
    expect(list).toMatchObject({ ok: true, value: { consumers: [{ ...name, cursor, lag: 0 }] } });

    const removal = create(DeleteConsumerRequestSchema, { ...name, requestId: "r2" });
    expect(await app.call(door, deleteConsumer, removal)).toMatchObject({ ok: true });
    expect(await app.call(door, deleteConsumer, removal)).toMatchObject({ ok: true });
    const none = await app.call(door, getConsumer, create(GetConsumerRequestSchema, name));
    expect(none).toMatchObject({ ok: false, code: "NotFound", reason: "CONSUMER_NOT_FOUND" });
  });

  test.each([
    [{ consumer: { name: "a b" } }, "consumer.name"],
    [{ consumer: { name: "sink.x" } }, "consumer.name"],
    [{ consumer: { name: "a", filter: "event.x == 1" } }, "consumer.filter"],
    [{ consumer: { name: "a", lag: 1 } }, "consumer.lag"],
    [{ consumer: { name: "a", namespace: "a/b" } }, "consumer.namespace"],
    [{}, "consumer"],
  ])("%j is refused by the name of the field", async (fields, field) => {
    const request = create(CreateConsumerRequestSchema, fields);
    const refused = await app.call(door, createConsumer, request);
    expect(refused).toMatchObject({
      ok: false,
      code: "InvalidArgument",
      reason: "INVALID_FIELD",
      fields: [field],
    });
  });
});

test("At least once: a consumer misses nothing while its server is killed again and again", {
  timeout: 120_000,
}, async () => {
  const data = await mkdtemp(join(tmpdir(), "sessiond-consumers-"));
  let server = await startServer({ data });
  const { address, port } = server;
  const retry = { attempts: 1_000, watchAttempts: 1_000, initialMs: 20, maxMs: 100 };
  await using sessiond = new Sessiond({ address, retry });
  try {
    const stop = new AbortController();
    const wanted = new Set<string>();
    const seen = new Map<string, number[]>();
    let told = () => {};
    const filter = 'event.text.endsWith("0")';
    const done = sessiond.consume(
      "audit",
      { filter, signal: stop.signal },
      ({ sessionId, events }: ConsumedBatch) => {
        const revisions = seen.get(sessionId) ?? [];
        seen.set(sessionId, [...revisions, ...events.map(({ revision }) => revision)]);
        told();
      },
    );
    let appended = 0;
    const isAppending = { value: true };
    const writers = ["a", "b", "c"].map(async (sessionId) => {
      const session = await sessiond.sessions.getOrCreate(sessionId);
      while (isAppending.value) {
        const text = String(appended++);
        const { revisions } = await session.append({ role: "user", text });
        if (text.endsWith("0")) wanted.add(`${sessionId}:${revisions[0]}`);
      }
    });
    const hasMore = (count: number) =>
      new Promise<void>((resolve) => {
        const from = appended;
        told = () => {
          if (appended >= from + count) resolve();
        };
      });
    for (let round = 0; round < 4; round++) {
      await hasMore(200);
      await server.kill("SIGKILL");
      server = await startServer({ data, port });
    }
    await hasMore(100);
    isAppending.value = false;
    await Promise.all(writers);
    const hasAll = new Promise<void>((resolve) => {
      told = () => {
        const all = new Set([...seen].flatMap(([id, list]) => list.map((one) => `${id}:${one}`)));
        if ([...wanted].every((event) => all.has(event))) resolve();
      };
      told();
    });
    await (await sessiond.sessions.get("a")).append({ role: "user", text: "0" });
    await hasAll;
    stop.abort();
    await done;
    // In order, but for where it began again behind what was written.
    const steps = [...seen.values()].map((list) =>
      list.filter((revision, index) => revision <= (list[index - 1] ?? 0)),
    );
    for (const back of steps) expect(back.length).toBeLessThanOrEqual(4);
  } finally {
    await server.kill("SIGKILL");
    await rm(data, { recursive: true, force: true });
  }
});
