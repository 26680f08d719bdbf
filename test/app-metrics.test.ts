import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  CreateSessionRequestSchema,
  EventService,
  GetSessionRequestSchema,
  SessionService,
} from "@sessiond/contract";
import { describe, expect, it } from "vitest";
import { doors, type Engine, openTestApp, type TestApp } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { scrape } from "./support/scrape.ts";
import { startServer } from "./support/server-process.ts";

const probeListen = { host: "127.0.0.1", port: 0 };

function open(store: Engine = "memory"): Promise<TestApp> {
  return openTestApp({ store, config: { probeListen } });
}

function appendRequest(texts: readonly string[], sessionId = "s") {
  return create(AppendEventsRequestSchema, {
    sessionId,
    createIfMissing: true,
    events: texts.map(message),
  });
}

function message(text: string) {
  return {
    payload: {
      case: "message" as const,
      value: { parts: [{ content: { case: "text" as const, value: text } }] },
    },
  };
}

/** A stream's end is noticed when its client has already gone on. */
function becomes<T>(read: () => Promise<T>, expected: T): Promise<void> {
  return eventually(async () => expect(await read()).toEqual(expected));
}

describe.each(doors)("over %s", (door) => {
  it("calls are counted by method and code, errors by their reason", async () => {
    await using app = await open();
    const get = create(GetSessionRequestSchema, { sessionId: "nothing" });
    await app.call(door, EventService.method.appendEvents, appendRequest(["a", "b"]));
    await app.call(door, EventService.method.appendEvents, appendRequest(["c"]));
    for (const _ of [1, 2, 3]) await app.call(door, SessionService.method.getSession, get);

    const metrics = await scrape(app.probe);
    const appends = 'service="EventService",method="AppendEvents",code="ok"';
    const gets = 'service="SessionService",method="GetSession",code="not_found"';
    expect(metrics.value(`sessiond_calls_total{${appends}}`)).toBe(2);
    expect(metrics.value(`sessiond_calls_total{${gets}}`)).toBe(3);
    const errors = `sessiond_call_errors_total{${gets},reason="SESSION_NOT_FOUND"}`;
    expect(metrics.value(errors)).toBe(3);
    expect(metrics.text.match(/^sessiond_call_errors_total\{/gm)).toHaveLength(1);
    expect(metrics.value(`sessiond_call_duration_seconds_count{${appends}}`)).toBe(2);
    expect(metrics.value(`sessiond_call_duration_seconds_bucket{${appends},le="+Inf"}`)).toBe(2);
    expect(metrics.value(`sessiond_call_duration_seconds_sum{${appends}}`)).toBeGreaterThan(0);
  });
});

it("streams count when they end, and have no duration", async () => {
  await using app = await open();
  await app.clients.events.appendEvents(appendRequest(["a"]));
  const calls = (code: string) =>
    `sessiond_calls_total{service="EventService",method="WatchEvents",code="${code}"}`;
  const value = (series: string) => async () => (await scrape(app.probe)).value(series);

  const left = new AbortController();
  const watch = app.clients.events.watchEvents({ sessionId: "s" }, { signal: left.signal });
  await watch[Symbol.asyncIterator]().next();
  expect(await value('sessiond_calls_running{kind="stream"}')()).toBe(1);
  expect(await value(calls("canceled"))()).toBeUndefined();
  left.abort();
  await becomes(value(calls("canceled")), 1);

  await app.clients.sessions.endSession({ sessionId: "s" });
  for await (const _ of app.clients.events.watchEvents({ sessionId: "s", untilEnded: true }));
  await becomes(value(calls("ok")), 1);
  expect(await value('sessiond_calls_running{kind="stream"}')()).toBe(0);
  expect((await scrape(app.probe)).text).not.toContain(
    'sessiond_call_duration_seconds_count{service="EventService",method="WatchEvents"',
  );
});

it("events, their tokens and those that are protected are counted", async () => {
  await using app = await open();
  await app.clients.sessions.createSession(
    create(CreateSessionRequestSchema, { session: { sessionId: "s", goal: "a goal" } }),
  );
  const { events } = await app.clients.events.appendEvents(
    appendRequest(["one two three", "four five"]),
  );
  const metrics = await scrape(app.probe);
  const listed = await app.clients.events.listEvents({ sessionId: "s" });
  const sum = (all: typeof listed.events) =>
    all.reduce((tokens, event) => tokens + (event.tokens?.count ?? 0), 0);
  expect(events).toHaveLength(2);
  expect(metrics.value('sessiond_events_total{payload="message"}')).toBe(2);
  expect(metrics.value('sessiond_events_total{payload="session_started"}')).toBe(1);
  expect(sum(listed.events)).toBeGreaterThan(4);
  expect(metrics.value("sessiond_event_tokens_total")).toBe(sum(listed.events));
  const guarded = listed.events.filter(({ protection }) => protection !== undefined);
  expect(guarded.length).toBeGreaterThan(0);
  expect(metrics.value("sessiond_protected_events_total")).toBe(guarded.length);
  expect(metrics.value("sessiond_protected_event_tokens_total")).toBe(sum(guarded));
  expect(metrics.value('sessiond_texts_counted_total{accuracy="exact"}')).toBeGreaterThan(0);
  expect(metrics.value("sessiond_token_count_duration_seconds_count")).toBeGreaterThan(0);
});

describe.each(["memory", "lmdb"] as const)("with %s", (engine) => {
  it("sessions are counted by state, as commits move them", async () => {
    await using app = await open(engine);
    const { sessions, events } = app.clients;
    for (const sessionId of ["a", "b", "c"])
      await events.appendEvents(appendRequest(["x"], sessionId));
    await sessions.createSession({ session: { sessionId: "d" }, deferredStart: true });
    await sessions.endSession({ sessionId: "a" });
    await sessions.cancelSession({ sessionId: "b" });
    const states = async () => {
      const metrics = await scrape(app.probe);
      return ["created", "active", "completed", "cancelled", "expired"].map((state) =>
        metrics.value(`sessiond_sessions{state="${state}"}`),
      );
    };
    await becomes(states, [1, 1, 1, 1, 0]);
    await sessions.reopenSession({ sessionId: "a" });
    await sessions.deleteSession({ sessionId: "b" });
    expect(await states()).toEqual([1, 2, 0, 0, 0]);
  });
});

it("sessions of before the start are counted, too", async () => {
  await using app = await open("lmdb");
  for (let n = 0; n < 150; n++)
    await app.clients.events.appendEvents(appendRequest(["x"], `s${n}`));
  await app.clients.sessions.endSession({ sessionId: "s7" });
  await app.restart();
  const states = async () => {
    const metrics = await scrape(app.probe);
    return ["active", "completed"].map((state) =>
      metrics.value(`sessiond_sessions{state="${state}"}`),
    );
  };
  await becomes(states, [149, 1]);
  await app.clients.sessions.endSession({ sessionId: "s8" });
  expect(await states()).toEqual([148, 2]);
});

it("a store in a file tells its commits, its size and its readers", async () => {
  await using app = await open("lmdb");
  await app.clients.events.appendEvents(appendRequest(["a", "b", "c"]));
  await app.clients.events.appendEvents(appendRequest(["d"]));
  const metrics = await scrape(app.probe);
  expect(metrics.value("sessiond_commit_duration_seconds_count")).toBe(2);
  expect(metrics.value("sessiond_commit_batch_size_sum")).toBe(2);
  expect(metrics.value("sessiond_commit_events_count")).toBe(2);
  // With the event of its beginning.
  expect(metrics.value("sessiond_commit_events_sum")).toBe(5);
  expect(metrics.value('sessiond_store_records{table="events"}')).toBe(5);
  expect(metrics.value('sessiond_store_records{table="sessions"}')).toBe(1);
  expect(metrics.value("sessiond_store_file_bytes")).toBeGreaterThan(4_096);
  expect(metrics.value("sessiond_store_readers")).toBeGreaterThan(0);
  expect(metrics.value("sessiond_store_readers_limit")).toBeGreaterThan(1);
  expect(metrics.value("sessiond_disk_free_bytes")).toBeGreaterThan(0);
  expect(metrics.value("sessiond_store_writes_refused")).toBe(0);
});

it("a scrape and the health pages do without a data folder that is gone", async () => {
  const data = await mkdtemp(join(tmpdir(), "sessiond-gone-"));
  await using app = await openTestApp({ store: "lmdb", config: { probeListen, data } });
  await rm(data, { recursive: true });
  const metrics = await scrape(app.probe);
  expect(metrics.value("sessiond_disk_free_bytes")).toBeUndefined();
  expect(metrics.value("sessiond_store_readers_limit")).toBeGreaterThan(1);
  const ready = await fetch(`http://${app.probe}/readyz`);
  expect(await ready.text()).toMatch(/^disk: the data folder cannot be looked at: ENOENT/m);
});

it("watches are counted while they are open", async () => {
  await using app = await open();
  await app.clients.events.appendEvents(appendRequest(["a"]));
  const left = new AbortController();
  const { signal } = left;
  const session = app.clients.events.watchEvents({ sessionId: "s", start: 1 }, { signal });
  const namespace = app.clients.events.watchEvents({}, { signal });
  for (const watch of [session, namespace]) await watch[Symbol.asyncIterator]().next();
  const metrics = await scrape(app.probe);
  expect(metrics.value('sessiond_watches{of="session"}')).toBe(1);
  expect(metrics.value('sessiond_watches{of="namespace"}')).toBe(1);
  left.abort();
  await becomes(async () => (await scrape(app.probe)).value('sessiond_watches{of="session"}'), 0);
});

it("consumers are counted, with the lag of the one furthest behind, read or not", async () => {
  await using app = await open();
  await app.clients.events.appendEvents(appendRequest(["a"]));
  await app.clients.consumers.createConsumer({ consumer: { name: "slow" } });
  await app.clients.consumers.createConsumer({ consumer: { name: "s", sessionId: "s" } });
  await app.clients.events.appendEvents(appendRequest(["b"]));
  const left = new AbortController();
  const { signal } = left;
  const watch = app.clients.events.watchEvents({ consumer: "slow" }, { signal });
  await watch[Symbol.asyncIterator]().next();
  const figures = async () => {
    const metrics = await scrape(app.probe);
    const names = ["sessiond_consumers_read", "sessiond_consumers", "sessiond_consumer_lag_max"];
    return names.map((name) => metrics.value(name));
  };
  const { headRevision: events } = await app.clients.events.appendEvents(appendRequest(["c"]));
  // They are looked at behind the first scrape.
  await becomes(async () => (await figures()).join(), `1,2,${events}`);
  left.abort();
  await becomes(async () => (await figures())[0], 0);
});

it("caches tell what they did", async () => {
  await using app = await open();
  await app.clients.events.appendEvents(appendRequest(["a"]));
  const heads = async (what: string) =>
    (await scrape(app.probe)).value(`sessiond_cache_${what}_total{cache="heads"}`) ?? 0;
  const [hits, misses] = [await heads("hits"), await heads("misses")];
  await app.clients.sessions.getSession({ sessionId: "s" });
  expect(await heads("hits")).toBe(hits + 1);
  expect(await heads("misses")).toBe(misses);
});

it("a scraper that prefers OpenMetrics gets it, and the next one the text format", async () => {
  await using app = await open();
  await app.clients.events.appendEvents(appendRequest(["a"]));
  const accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
  const openMetrics = await scrape(app.probe, { accept });
  const text = await scrape(app.probe);
  expect(openMetrics.contentType).toContain("application/openmetrics-text; version=1.0.0");
  expect(openMetrics.text.endsWith("\n# EOF\n")).toBe(true);
  expect(openMetrics.families).toContain("sessiond_events");
  expect(text.contentType).toContain("text/plain; version=0.0.4");
  expect(text.families).toContain("sessiond_events_total");
  expect(text.families).toContain("process_cpu_seconds_total");
  for (const { value } of [openMetrics, text]) {
    expect(value('sessiond_events_total{payload="message"}')).toBe(1);
    expect(value("process_cpu_user_seconds_total")).toBeGreaterThan(0);
  }
  const refusing = await scrape(app.probe, { accept: "application/openmetrics-text;q=0" });
  expect(refusing.contentType).toContain("text/plain");
});

it("no name that a caller chose is in a scrape, and the port of the API has none", async () => {
  await using app = await open();
  const names = ["secret-id", "secret-agent", "secret-user", "secret-space", "secret-text"];
  const [sessionId = "", agentId = "", userId = "", namespace = "", text = ""] = names;
  await app.clients.sessions.createSession({ session: { namespace, sessionId, agentId, userId } });
  await app.clients.events.appendEvents({
    namespace,
    sessionId,
    events: [{ kind: "secret-kind", ...message(text) }],
  });
  expect((await scrape(app.probe)).text).not.toContain("secret");
  const onApi = await fetch(`http://${app.address}/metrics`);
  expect(onApi.ok).toBe(false);
});

it("a server that was scraped ends in order, and says nothing", async () => {
  const data = await mkdtemp(join(tmpdir(), "sessiond-scraped-"));
  try {
    await using server = await startServer({ data, args: ["--probe-listen", "127.0.0.1:0"] });
    const metrics = await scrape(server.probe);
    expect(metrics.value("process_open_fds")).toBeGreaterThan(0);
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(server.stderr()).not.toContain("could not be counted");
  } finally {
    await rm(data, { recursive: true });
  }
});
