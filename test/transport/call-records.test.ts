import { create } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  CreateSessionRequestSchema,
  EventService,
  ServerService,
  SessionService,
} from "@sessiond/contract";
import { expect, test } from "vitest";
import { createLogger } from "../../src/telemetry/logger.ts";
import { callRecords } from "../../src/transport/call-records.ts";
import { doors, openTestApp } from "../support/app.ts";
import { userText } from "../support/domain.ts";

function written(level: "debug" | "info") {
  const records: Record<string, unknown>[] = [];
  const write = (record: string) => void records.push(JSON.parse(record));
  return { log: createLogger({ level }, { write }), records };
}

test.each(doors)("over %s a call is a record with its method, names and end", async (door) => {
  const { log, records } = written("debug");
  await using app = await openTestApp({ log });
  const session = { namespace: "shop", sessionId: "s-1", title: "a secret title" };
  const made = create(CreateSessionRequestSchema, { session });
  await app.call(door, SessionService.method.createSession, made);
  const append = create(AppendEventsRequestSchema, {
    sessionId: "nobody",
    requestId: "r-1",
    events: [userText("a secret text")],
  });
  await app.call(door, EventService.method.appendEvents, append);
  const ended = { level: "debug", ms: expect.any(Number), msg: "a call ended" };
  const calls = records.filter(({ method }) => method !== undefined);
  expect(calls).toEqual([
    {
      ...ended,
      time: expect.any(String),
      method: "SessionService/CreateSession",
      namespace: "shop",
      sessionId: "s-1",
      code: "ok",
    },
    {
      ...ended,
      time: expect.any(String),
      method: "EventService/AppendEvents",
      sessionId: "nobody",
      requestId: "r-1",
      code: "not_found",
      reason: "SESSION_NOT_FOUND",
    },
  ]);
});

test("a stream is a record when it ends", async () => {
  const { log, records } = written("debug");
  await using app = await openTestApp({ log });
  await app.clients.events.appendEvents({
    sessionId: "s-2",
    createIfMissing: true,
    events: [userText("x")],
  });
  const end = new AbortController();
  const watch = app.clients.events.watchEvents({ sessionId: "s-2" }, { signal: end.signal });
  for await (const _ of watch) break;
  end.abort();
  await expect
    .poll(() => records.find(({ method }) => method === "EventService/WatchEvents"))
    .toMatchObject({ sessionId: "s-2", code: "canceled" });
});

test("above debug only damage is written", () => {
  const { log, records } = written("info");
  const record = callRecords(log);
  const call = { service: "S", method: "M", kind: "unary", seconds: 0.0012 } as const;
  record({ ...call, code: "ok", reason: undefined });
  record({ ...call, code: "data_loss", reason: "DATA_LOSS" });
  expect(records).toMatchObject([
    { level: "error", method: "S/M", code: "data_loss", reason: "DATA_LOSS", ms: 1.2 },
  ]);
});

test("SetLogLevel changes what is written, over each door, and says when it reverts", async () => {
  const { log, records } = written("info");
  const config = { logLevel: "info" } as const;
  await using app = await openTestApp({ log, config, overrides: { clock: () => 1_000 } });
  const method = ServerService.method.setLogLevel;
  const set = await app.json(method, { level: "LOG_LEVEL_DEBUG", duration: "600s" });
  expect(set).toMatchObject({
    ok: true,
    value: { level: 2, previousLevel: 3, revertTime: { seconds: 601n } },
  });
  const info = await app.clients.server.getServerInfo({});
  expect(info.server?.logLevel).toBe(2);
  expect(records.map(({ msg }) => msg)).toContain("a call ended");
  expect(await app.clients.server.setLogLevel({})).toMatchObject({ level: 3, previousLevel: 2 });
  const count = records.length;
  await app.clients.server.getServerInfo({});
  expect(records).toHaveLength(count);
});

test.each([
  [{ level: "LOG_LEVEL_LOUD" }, "INVALID_FIELD"],
  [{ level: 99 }, "INVALID_FIELD"],
  [{ level: "LOG_LEVEL_DEBUG", duration: "0s" }, "INVALID_FIELD"],
  [{ level: "LOG_LEVEL_DEBUG", duration: "-1s" }, "INVALID_FIELD"],
  [{ level: "LOG_LEVEL_DEBUG", duration: "2073601s" }, "INVALID_FIELD"],
])("%j as a level is refused, and changes nothing", async (body, reason) => {
  const { log } = written("info");
  await using app = await openTestApp({ log, config: { logLevel: "info" } });
  expect(await app.json(ServerService.method.setLogLevel, body)).toMatchObject({
    ok: false,
    reason,
  });
  expect(log.level).toBe("info");
});
