import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { OtlpSink } from "../../../src/sinks/otlp/otlp-sink.ts";
import { settingsOf } from "../../../src/sinks/otlp/settings.ts";
import { DeliveryError, RefusedBatchError, type SinkMessage } from "../../../src/sinks/sink.ts";
import { userText } from "../../support/domain.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../../support/otlp-receiver.ts";
import { type Harness, openHarness } from "./harness.ts";
import { at, end, toolCall, toolResult } from "./spans.ts";

const sessionId = "s";

/** A session with one tool call: six log records and two spans. */
async function talk({ domain, news }: Harness): Promise<SinkMessage[]> {
  await domain.create({ session: { sessionId, agentId: "a" } });
  await at(domain, 1, sessionId, userText("hi"), toolCall("1", "f"), toolResult("1"));
  await at(domain, 2, sessionId, userText("bye"));
  await end(domain, { sessionId });
  return news();
}

const paths = ({ requests }: OtlpReceiver) => requests.map(({ path }) => path);

test("a batch is one request for each signal, packed, in Protobuf, with the headers asked for", async () => {
  const harness = await openHarness({ config: { headers: { "x-key": "secret" } } });
  const { receiver, deliver } = harness;
  await deliver(await talk(harness));
  expect(receiver.requests.map(({ path, records }) => [path, records])).toEqual([
    ["/v1/logs", 6],
    ["/v1/traces", 2],
  ]);
  for (const { headers } of receiver.requests) {
    expect(headers).toMatchObject({
      "content-type": "application/x-protobuf",
      "content-encoding": "gzip",
      "x-key": "secret",
    });
  }
});

test("a batch without a span is one request, and a signal that is not wanted none", async () => {
  const harness = await openHarness({
    config: { signals: ["traces"], compression: "none", resource: { "service.name": "agents" } },
  });
  const { receiver, deliver } = harness;
  const messages = await talk(harness);
  await deliver(messages.slice(0, 2));
  expect(receiver.requests).toEqual([]);
  await deliver(messages.slice(2));
  expect(paths(receiver)).toEqual(["/v1/traces"]);
  expect(receiver.requests[0]?.headers["content-encoding"]).toBeUndefined();
  expect(receiver.spans[0]?.resource).toMatchObject({ "service.name": "agents" });
});

test.each([429, 500, 502, 503, 504, 401, 404, 405, 302])(
  "a receiver that answers with %s is asked again, and gets what it has not",
  async (status) => {
    const harness = await openHarness();
    const { receiver, deliver, restart } = harness;
    const messages = await talk(harness);
    receiver.answer = ({ path }) => (path === "/v1/traces" ? { status } : undefined);
    const failure = await deliver(messages).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(failure).not.toBeInstanceOf(RefusedBatchError);
    expect(String(failure)).toContain(String(status));
    expect([receiver.logs.length, receiver.spans.length]).toEqual([6, 0]);
    receiver.answer = () => undefined;
    await deliver(messages);
    // Log records that it took are not sent twice, unless nobody remembers.
    expect([receiver.logs.length, receiver.spans.length]).toEqual([6, 2]);
    await restart();
    await deliver(messages);
    expect([receiver.logs.length, receiver.spans.length]).toEqual([12, 4]);
  },
);

test.each([400, 415, 422])(
  "what a receiver refuses with %s is refused, and the other signal is sent",
  async (status) => {
    const harness = await openHarness();
    const { receiver, deliver } = harness;
    const messages = await talk(harness);
    receiver.answer = ({ path }) => (path === "/v1/logs" ? { status } : undefined);
    await expect(deliver(messages.slice(0, 3))).rejects.toThrow(RefusedBatchError);
    await expect(deliver(messages.slice(3))).rejects.toThrow(RefusedBatchError);
    expect(receiver.logs.length).toBe(0);
    // Also what was refused counts as taken: the call had begun in the first batch.
    expect(receiver.spans.map(({ name }) => name)).toEqual(["execute_tool f", "invoke_agent a"]);
  },
);

test("a refusal of log records is not forgotten over spans that come later", async () => {
  const harness = await openHarness();
  const { receiver, deliver } = harness;
  const messages = await talk(harness);
  receiver.answer = ({ path }) => ({ status: path === "/v1/logs" ? 400 : 503 });
  await expect(deliver(messages)).rejects.toThrow("the receiver of traces answered");
  receiver.answer = () => undefined;
  await expect(deliver(messages)).rejects.toThrow("the receiver of logs answered");
  expect(paths(receiver)).toEqual(["/v1/logs", "/v1/traces", "/v1/traces"]);
  expect(receiver.spans.length).toBe(2);
});

test("what is too large for a receiver comes in smaller pieces, one record at least", async () => {
  const harness = await openHarness();
  const { receiver, deliver } = harness;
  const messages = await talk(harness);
  receiver.answer = ({ records }) => (records > 2 ? { status: 413 } : undefined);
  await deliver(messages);
  expect([receiver.logs.length, receiver.spans.length]).toEqual([6, 2]);
  receiver.answer = ({ path }) => (path === "/v1/logs" ? { status: 413 } : undefined);
  await expect(deliver(messages)).rejects.toThrow(RefusedBatchError);
});

test("records that a receiver leaves out are reported, and the batch is delivered", async () => {
  const harness = await openHarness();
  const { receiver, deliver, warnings } = harness;
  receiver.answer = ({ path }) =>
    path === "/v1/logs" ? { partial: { rejected: 2, message: "too old" } } : undefined;
  await deliver(await talk(harness));
  expect(receiver.spans.length).toBe(2);
  expect(warnings).toEqual([
    {
      signal: "logs",
      rejected: 2,
      message: "an OTLP receiver left records out",
    },
  ]);
});

test("a receiver that says when to come back is heard", async () => {
  const harness = await openHarness();
  const { receiver, deliver } = harness;
  receiver.answer = () => ({ status: 503, headers: { "retry-after": "7" } });
  const failure = await deliver(await talk(harness)).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DeliveryError);
  expect(failure).toMatchObject({ retryAfterMs: 7_000 });
});

test("a receiver that does not answer is given up after its time", async () => {
  const harness = await openHarness({ config: { timeoutMs: 100 } });
  const { receiver, deliver } = harness;
  receiver.answer = () => ({ hangs: true });
  await expect(deliver(await talk(harness))).rejects.toThrow("did not answer within 100 ms");
});

test("a receiver that is not there is an error that names it", async () => {
  const { url, [Symbol.asyncDispose]: leave } = await startOtlpReceiver();
  await leave();
  const harness = await openHarness({ url });
  const failure = harness.deliver(await talk(harness));
  await expect(failure).rejects.toThrow(
    "the receiver of logs cannot be reached: the connection to it failed (ECONNREFUSED)",
  );
});

test("a delivery that is given up ends at once", async () => {
  const harness = await openHarness();
  const { receiver } = harness;
  receiver.answer = () => ({ hangs: true });
  const sink = openSink(receiver.url);
  const abort = new AbortController();
  const messages = await talk(harness);
  const delivery = sink.deliver({ namespace: "default", messages }, abort.signal);
  await receiver.until(() => receiver.requests.length === 1);
  abort.abort();
  await expect(delivery).rejects.toThrow();
  await expect(sink.deliver({ namespace: "default", messages }, abort.signal)).rejects.toThrow();
});

test("a thread that dies takes its batch along, and another one goes on", async () => {
  const harness = await openHarness();
  const { receiver } = harness;
  const workers: Worker[] = [];
  const sink = openSink(receiver.url, (worker) => workers.push(worker));
  const batch = { namespace: "default", messages: await talk(harness) };
  const { signal } = new AbortController();
  receiver.answer = () => ({ hangs: true });
  const delivery = sink.deliver(batch, signal);
  await receiver.until(() => receiver.requests.length === 1);
  receiver.answer = () => undefined;
  const [rejection] = await Promise.allSettled([delivery, workers[0]?.terminate()]);
  expect(rejection.status).toBe("rejected");
  await sink.deliver(batch, signal);
  expect(workers.length).toBe(2);
  expect([receiver.logs.length, receiver.spans.length]).toEqual([6, 2]);
});

test("one batch is under way at once", async () => {
  const harness = await openHarness();
  const sink = openSink(harness.receiver.url);
  const batch = { namespace: "default", messages: await talk(harness) };
  const { signal } = new AbortController();
  const first = sink.deliver(batch, signal);
  await expect(sink.deliver(batch, signal)).rejects.toThrow("a batch is under way");
  await first;
});

/** A sink that looks nothing up. */
function openSink(endpoint: string, onStart: (worker: Worker) => void = () => {}): OtlpSink {
  const settings = settingsOf({ endpoint }, { env: {}, version: "1.2.3", memoryBytes: 100_000 });
  const sink = new OtlpSink({
    settings,
    source: { session: async () => undefined, events: async () => [] },
    log: { warn: () => {} },
    startWorker: (workerData) => {
      const file = new URL("../../../src/sinks/otlp/otlp-worker.ts", import.meta.url);
      const worker = new Worker(file, { workerData });
      onStart(worker);
      return worker;
    },
  });
  onTestFinished(() => sink.close());
  return sink;
}

test("ten thousand events wait for a collector that is away, and come once it is back", async () => {
  const harness = await openHarness({ memoryBytes: 10_000 });
  const { domain, receiver, news, deliver } = harness;
  const sessions = Array.from({ length: 20 }, (_, index) => `s${index}`);
  for (const id of sessions) await domain.create({ session: { sessionId: id } });
  for (let round = 0; round < 25; round++) {
    for (const id of sessions) {
      await domain.append({
        sessionId: id,
        events: Array.from({ length: 20 }, (_, n) => userText(`${round}-${n}`)),
      });
    }
  }
  const messages = await news();
  expect(messages.length).toBe(10_020);
  // Away at first, and again after every third request.
  let requests = 0;
  receiver.answer = () => (requests++ % 3 === 0 ? { status: 503 } : undefined);
  for (let from = 0; from < messages.length; from += 500) {
    const batch = messages.slice(from, from + 500);
    for (let tries = 0; ; tries++) {
      try {
        await deliver(batch);
        break;
      } catch (error) {
        if (tries > 5) throw error;
      }
    }
  }
  const seen = new Map<string, number[]>();
  for (const { attributes } of receiver.logs) {
    const id = String(attributes["gen_ai.conversation.id"]);
    seen.set(id, [...(seen.get(id) ?? []), Number(attributes["sessiond.revision"])]);
  }
  for (const id of sessions) {
    expect(seen.get(id)).toEqual(Array.from({ length: 501 }, (_, index) => index + 1));
  }
});
