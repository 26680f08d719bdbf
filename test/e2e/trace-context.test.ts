import { create } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { Sessiond } from "@sessiond/client";
import {
  AppendStreamRequestSchema,
  type Event,
  EventService,
  IfExists,
  SessionService,
} from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestApp, type TestApp } from "../support/app.ts";
import { userText } from "../support/domain.ts";
import { clientOf, type ProtocolName } from "../transport/clients.ts";

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const other = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01";
const tracestate = "rojo=00f067aa0ba902b7";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const protocols: ProtocolName[] = ["gRPC", "Connect", "Connect with JSON", "gRPC-Web"];

function clientsOf(protocol: ProtocolName) {
  const port = Number(app.address.split(":")[1]);
  return {
    sessions: clientOf(SessionService, protocol, port),
    events: clientOf(EventService, protocol, port),
  };
}

async function log(sessionId: string): Promise<Event[]> {
  return (await app.clients.events.listEvents({ sessionId })).events;
}

function traces(events: readonly Event[]) {
  return events.map(({ payload, trace }) => [payload.case, trace?.traceparent, trace?.tracestate]);
}

describe.each(protocols)("over %s", (protocol) => {
  test("events get the trace context of the call that made them", async () => {
    const { sessions, events } = clientsOf(protocol);
    const sessionId = `traced ${protocol}`;
    const headers = { traceparent, tracestate };
    await sessions.createSession({ session: { sessionId } }, { headers });
    await events.appendEvents({ sessionId, events: [userText("a")] }, { headers });
    await events.appendEvents({ sessionId, events: [userText("b")] });
    await sessions.endSession({ sessionId }, { headers });
    await sessions.reopenSession({ sessionId }, { headers });
    await sessions.cancelSession({ sessionId }, { headers });
    const fork = { sessionId, newSessionId: `${sessionId} fork` };
    await sessions.forkSession(fork, { headers: { traceparent: other } });

    expect(traces(await log(sessionId))).toEqual([
      ["sessionStarted", traceparent, tracestate],
      ["message", traceparent, tracestate],
      ["message", undefined, undefined],
      ["sessionEnded", traceparent, tracestate],
      ["sessionReopened", traceparent, tracestate],
      ["sessionEnded", traceparent, tracestate],
    ]);
    expect(traces(await log(fork.newSessionId)).at(-1)).toEqual(["forked", other, ""]);
  });

  test("malformed headers are ignored, and a tracestate goes with its traceparent", async () => {
    const { events } = clientsOf(protocol);
    const sessionId = `malformed ${protocol}`;
    const append = (headers: Record<string, string>) =>
      events.appendEvents(
        { sessionId, createIfMissing: true, events: [userText("a")] },
        { headers },
      );
    await append({ traceparent: "00-nonsense-01", tracestate });
    await append({ tracestate });
    await append({ traceparent, tracestate: "NOT=1" });
    await append({ traceparent: `cc-${traceparent.slice(3)}-${"x".repeat(300)}` });
    await append({
      traceparent,
      tracestate: `a=${"x".repeat(250)},b=${"y".repeat(250)},c=1234567`,
    });
    expect(traces(await log(sessionId)).map(([, ...trace]) => trace)).toEqual([
      [undefined, undefined],
      [undefined, undefined],
      [undefined, undefined],
      [traceparent, ""],
      [undefined, undefined],
      [traceparent, ""],
    ]);
  });
});

test("an event's own trace context stays, and the session starts in that of its first event", async () => {
  const { sessions, events } = clientsOf("gRPC");
  const sessionId = "own";
  const own = { traceparent: other, tracestate: "own=1" };
  await sessions.createSession({ session: { sessionId }, deferredStart: true });
  await events.appendEvents(
    { sessionId, events: [{ ...userText("a"), trace: own }, userText("b")] },
    { headers: { traceparent } },
  );
  expect(traces(await log(sessionId))).toEqual([
    ["sessionStarted", other, "own=1"],
    ["message", other, "own=1"],
    ["message", traceparent, ""],
  ]);
});

test("the same request with another trace is the same request, and keeps the first trace", async () => {
  const { events, sessions } = clientsOf("gRPC");
  const create = { requestId: "c1", session: { sessionId: "retried" }, ifExists: IfExists.FAIL };
  const append = { requestId: "a1", sessionId: "retried", events: [userText("a")] };
  for (const header of [traceparent, other]) {
    const options = { headers: { traceparent: header } };
    expect((await sessions.createSession(create, options)).created).toBe(true);
    expect((await events.appendEvents(append, options)).headRevision).toBe(2);
  }
  expect(traces(await log("retried"))).toEqual([
    ["sessionStarted", traceparent, ""],
    ["message", traceparent, ""],
  ]);
});

test("a stream of appends has one trace context", async () => {
  const { events } = clientsOf("gRPC");
  async function* batches() {
    for (const text of ["a", "b"]) {
      yield create(AppendStreamRequestSchema, {
        append: { sessionId: "streamed", createIfMissing: true, events: [userText(text)] },
      });
    }
  }
  const heads: number[] = [];
  for await (const { append } of events.appendStream(batches(), { headers: { traceparent } })) {
    heads.push(append?.headRevision ?? 0);
  }
  expect(heads).toEqual([2, 3]);
  expect(traces(await log("streamed")).map(([, header]) => header)).toEqual([
    traceparent,
    traceparent,
    traceparent,
  ]);
});

test("the client sends a trace context with one call, with an event, or with every call", async () => {
  const current: Interceptor = (next) => (request) => {
    request.header.set("traceparent", other);
    return next(request);
  };
  await using one = new Sessiond(app.address);
  await using every = new Sessiond({ address: app.address, interceptors: [current] });
  const session = await one.sessions.create(
    { sessionId: "client" },
    { trace: { traceparent, tracestate } },
  );
  await session.append({ role: "user", text: "a" }, { trace: { traceparent } });
  await session.append({ role: "user", text: "b", trace: { traceparent: other, tracestate } });
  await session.append({ role: "user", text: "c" });
  await (await every.sessions.get("client")).append({ role: "user", text: "d" });
  await session.end({ trace: { traceparent } });
  expect(traces(await log("client"))).toEqual([
    ["sessionStarted", traceparent, tracestate],
    ["message", traceparent, ""],
    ["message", other, tracestate],
    ["message", undefined, undefined],
    ["message", other, ""],
    ["sessionEnded", traceparent, ""],
  ]);
});
