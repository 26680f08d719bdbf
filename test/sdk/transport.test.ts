import { setImmediate } from "node:timers/promises";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, type GrpcTransportOptions } from "@sessiond/client";
import { EventService, SessionService } from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { collect } from "./support/collect.ts";
import { FakeSessiond } from "./support/fake-sessiond.ts";

let server: FakeSessiond;
const closing: (() => void)[] = [];

beforeEach(async () => {
  server = await FakeSessiond.start();
});

afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await server.kill();
});

function connect(options: Partial<GrpcTransportOptions> = {}) {
  const transport = createGrpcTransport({ address: server.address, ...options });
  closing.push(() => transport.close());
  return {
    sessions: createClient(SessionService, transport),
    events: createClient(EventService, transport),
  };
}

const name = { namespace: "default", sessionId: "a" };
const said = (text: string) => ({ payload: { case: "message" as const, value: { text } } });

test("interceptors wrap calls and streams, the first outermost", async () => {
  const order: string[] = [];
  const trace =
    (label: string): Interceptor =>
    (next) =>
    async (req) => {
      order.push(`${label} ${req.method.name}`);
      return next(req);
    };
  const { sessions, events } = connect({ interceptors: [trace("outer"), trace("inner")] });
  await sessions.createSession({ session: name });
  await collect(events.watchEvents(name), 1);

  expect(order).toEqual([
    "outer CreateSession",
    "inner CreateSession",
    "outer WatchEvents",
    "inner WatchEvents",
  ]);
});

test("headers arrive in both directions, bytes among them", async () => {
  const { sessions } = connect();
  await sessions.createSession({ session: name });
  const seen: unknown[] = [];
  server.onMetadata = (call) => {
    seen.push(...call.metadata.get("x-text"), ...call.metadata.get("x-bytes-bin"));
    call.sendMetadata(call.metadata.clone());
  };
  const headers = { "x-text": "one", "x-bytes-bin": Buffer.from([0, 255]).toString("base64") };
  let echoed: Headers | undefined;
  await sessions.getSession(name, {
    headers,
    onHeader: (header) => {
      echoed = header;
    },
  });

  expect(seen).toEqual(["one", Buffer.from([0, 255])]);
  expect(echoed?.get("x-text")).toBe("one");
  expect(echoed?.get("x-bytes-bin")).toBe("AP8=");
});

test("a bidirectional stream answers batch by batch", async () => {
  const { sessions, events } = connect();
  await sessions.createSession({ session: name });
  async function* batches() {
    for (let i = 0; i < 50; i++)
      yield { append: { ...name, events: [said(`${i}`), said("more")] } };
  }

  const answers = await collect(events.appendStream(batches()));
  expect(answers.map(({ append }) => append?.headRevision)).toEqual(
    Array.from({ length: 50 }, (_, i) => 3 + 2 * i),
  );
});

test("a bidirectional stream ends with the error of the batch that failed", async () => {
  const { events } = connect();
  async function* batches() {
    yield { append: { ...name, events: [said("nobody is there")] } };
  }
  const error = await collect(events.appendStream(batches())).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: Code.NotFound });
});

test("a request stream that throws fails the call with what it threw", async () => {
  const { sessions, events } = connect();
  await sessions.createSession({ session: name });
  async function* batches() {
    yield { append: { ...name, events: [said("1")] } };
    throw new RangeError("mine");
  }
  const error = await collect(events.appendStream(batches())).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ConnectError);
  expect((error as ConnectError).cause).toBeInstanceOf(RangeError);
});

test("an interceptor that leaves a stream early ends it, and nothing else", async () => {
  const ended = Promise.withResolvers<void>();
  const firstOnly: Interceptor = (next) => async (req) => {
    const response = await next(req);
    if (!response.stream) return response;
    async function* message() {
      for await (const first of response.message as AsyncIterable<never>) {
        yield first;
        break;
      }
      ended.resolve();
    }
    return { ...response, message: message() };
  };
  const { sessions, events } = connect({ interceptors: [firstOnly] });
  await sessions.createSession({ session: name });
  expect(await collect(events.watchEvents(name))).toHaveLength(1);
  await ended.promise;
  // What the stream was destroyed with comes a turn later, and goes nowhere.
  await setImmediate();
  expect((await sessions.getSession(name)).session?.sessionId).toBe("a");
});

test("aborting a stream ends it with the code of a cancelled call", async () => {
  const { sessions, events } = connect();
  await sessions.createSession({ session: name });
  const controller = new AbortController();
  const gone = new Promise<void>((resolve) => {
    server.onWatchCancelled = resolve;
  });
  const stream = events.watchEvents(name, { signal: controller.signal });
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  controller.abort();

  const drained = (async () => {
    while (!(await iterator.next()).done);
  })();
  await expect(drained).rejects.toMatchObject({ code: Code.Canceled });
  await gone;
});

test("the time limit of a stream ends it", async () => {
  const { sessions, events } = connect();
  await sessions.createSession({ session: name });
  const watching = collect(events.watchEvents(name, { timeoutMs: 30 }));
  await expect(watching).rejects.toMatchObject({ code: Code.DeadlineExceeded });
});
