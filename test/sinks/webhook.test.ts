import { createHmac } from "node:crypto";
import { createServer } from "node:net";
import { inspect } from "node:util";
import { create } from "@bufbuild/protobuf";
import { EventSchema } from "@sessiond/contract";
import { describe, expect, it, onTestFinished } from "vitest";
import { fixedKey } from "../../src/completions/key.ts";
import { DeliveryError, RefusedBatchError, type SinkBatch } from "../../src/sinks/sink.ts";
import { signatureOf } from "../../src/sinks/webhook/signature.ts";
import { WebhookSink, type WebhookSinkOptions } from "../../src/sinks/webhook/webhook-sink.ts";
import { openReceiver } from "./support/receiver.ts";

function batch(...revisions: number[]): SinkBatch {
  return {
    namespace: "default",
    messages: revisions.map((revision) => ({
      kind: "event",
      sessionId: "s",
      sessionUid: "u",
      event: create(EventSchema, { revision }),
    })),
  };
}

function open(options: Partial<WebhookSinkOptions> & { readonly url: string }) {
  const sink = new WebhookSink({
    key: fixedKey(undefined),
    timeoutMs: 5_000,
    now: () => 1_700_000_000_500,
    ...options,
  });
  return (sent: SinkBatch, signal = new AbortController().signal) => sink.deliver(sent, signal);
}

const failure = (sent: Promise<void>) =>
  sent.then(
    () => undefined,
    (error: unknown) => error,
  );

function revisionsOf(body: string): number[] {
  const { data } = JSON.parse(body) as { data: { event: { revision: number } }[] };
  return data.map(({ event }) => event.revision);
}

it("a batch is posted as JSON, under an id that a repetition has, too", async () => {
  const receiver = await openReceiver();
  const deliver = open(receiver);
  await deliver(batch(1, 2));
  await deliver(batch(1, 2));
  await deliver(batch(3));
  const [first, again, other] = receiver.posted;
  expect(JSON.parse(first?.body ?? "")).toEqual({
    type: "sessiond.events",
    data: [
      { namespace: "default", sessionId: "s", sessionUid: "u", event: { revision: 1 } },
      { namespace: "default", sessionId: "s", sessionUid: "u", event: { revision: 2 } },
    ],
  });
  expect(first?.headers).toMatchObject({
    "content-type": "application/json",
    "webhook-timestamp": "1700000000",
  });
  expect(first?.headers["webhook-id"]).toMatch(/^msg_[\w-]{32}$/);
  expect(again?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
  expect(other?.headers["webhook-id"]).not.toBe(first?.headers["webhook-id"]);
  expect(first?.headers).not.toHaveProperty("webhook-signature");
});

it.each([
  ["plain", "a plain key", Buffer.from("a plain key")],
  [
    "whsec_",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64"),
  ],
])("a %s key signs id, time and body", async (_kind, key, bytes) => {
  const receiver = await openReceiver();
  await open({ url: receiver.url, key: async () => key })(batch(1));
  const [{ headers, body } = { headers: {}, body: "" }] = receiver.posted;
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const signature = createHmac("sha256", bytes).update(signed).digest("base64");
  expect(headers["webhook-signature"]).toBe(`v1,${signature}`);
});

/** The example of https://github.com/standard-webhooks/standard-webhooks, of its libraries' tests. */
it("a signature is the one that other libraries make", () => {
  expect(
    signatureOf({
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestamp: "1614265330",
      body: '{"test": 2432232314}',
      key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }),
  ).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

describe("an answer with status", () => {
  it.each([400, 409, 410, 422])("%d refuses the batch for ever", async (status) => {
    const receiver = await openReceiver();
    receiver.answer = (_posted, response) => void response.writeHead(status).end("why");
    const error = await failure(open(receiver)(batch(1)));
    expect(error).toBeInstanceOf(RefusedBatchError);
    expect((error as Error).message).toBe(`the receiver answered with HTTP status ${status}`);
  });

  it.each([401, 403, 404, 405, 408, 421, 425, 429, 500, 503])(
    "%d means again, when it says so",
    async (status) => {
      const receiver = await openReceiver();
      const headers = { "retry-after": "7" };
      receiver.answer = (_posted, response) => void response.writeHead(status, headers).end();
      const error = await failure(open(receiver)(batch(1)));
      expect(error).toBeInstanceOf(DeliveryError);
      expect(error).toMatchObject({ retryAfterMs: 7_000 });
    },
  );

  /** For `fetch` it is a failure of the network, which has no headers. */
  it("407 means again", async () => {
    const receiver = await openReceiver();
    receiver.answer = (_posted, response) => void response.writeHead(407).end();
    expect(await failure(open(receiver)(batch(1)))).toBeInstanceOf(DeliveryError);
  });

  it("301 is not followed", async () => {
    const receiver = await openReceiver();
    const elsewhere = await openReceiver();
    receiver.answer = (_posted, response) =>
      void response.writeHead(307, { location: elsewhere.url }).end();
    const error = await failure(open(receiver)(batch(1)));
    expect((error as Error).message).toBe(
      "the receiver answered with a redirect (307), which is not followed",
    );
    expect(elsewhere.posted).toEqual([]);
  });

  it("413 sends halves, and only what is too large by itself is refused", async () => {
    const receiver = await openReceiver();
    receiver.answer = ({ body }, response) => {
      const revisions = revisionsOf(body);
      const isTooLarge = revisions.length > 2 || revisions.includes(4);
      response.writeHead(isTooLarge ? 413 : 204).end();
    };
    const error = await failure(open(receiver)(batch(1, 2, 3, 4, 5)));
    expect(error).toBeInstanceOf(RefusedBatchError);
    expect((error as RefusedBatchError).messages).toEqual([
      expect.objectContaining({ event: expect.objectContaining({ revision: 4 }) }),
    ]);
    const taken = receiver.posted.map(({ body }) => revisionsOf(body));
    expect(taken.filter((all) => all.length <= 2 && !all.includes(4)).flat()).toEqual([1, 2, 3, 5]);
  });
});

describe("a receiver that", () => {
  it("stalls is given up after the time for a request", async () => {
    const receiver = await openReceiver();
    receiver.answer = () => {};
    const error = await failure(open({ url: receiver.url, timeoutMs: 50 })(batch(1)));
    expect((error as Error).message).toBe("the receiver did not answer within 0.05 s");
  });

  it("stalls is given up at once when the server stops", async () => {
    const receiver = await openReceiver();
    const stop = new AbortController();
    receiver.answer = () => stop.abort(new Error("stopped"));
    const error = await failure(open(receiver)(batch(1), stop.signal));
    expect(stop.signal.aborted).toBe(true);
    expect(error).toBe(stop.signal.reason);
  });

  it("answers without end is not read", async () => {
    const receiver = await openReceiver();
    let isClosed = false;
    receiver.answer = (_posted, response) => {
      response.writeHead(200);
      const flood = () => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
      };
      response.on("drain", flood).on("close", () => {
        isClosed = true;
      });
      flood();
    };
    await open(receiver)(batch(1));
    await expect.poll(() => isClosed).toBe(true);
  });

  it.each([
    ["closes early", ""],
    ["answers garbage", "\0\x01\x02 not HTTP at all\r\n\r\n"],
    ["breaks off its headers", "HTTP/1.1 200 OK\r\ncontent-le"],
    ["sends headers without end", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(100_000)}`],
  ])("%s fails the delivery, which is tried again", async (_what, answer) => {
    const server = createServer((socket) => {
      socket.on("error", () => {}).once("data", () => socket.end(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const error = await failure(open({ url: `http://127.0.0.1:${port}/` })(batch(1)));
    expect(error).toBeInstanceOf(DeliveryError);
    expect((error as Error).message).toMatch(/^the receiver cannot be reached: /);
  });

  it("is not there fails it, and nothing of URL and key is in the error", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const url = `http://127.0.0.1:${port}/path-secret?token=query-secret`;
    const error = await failure(open({ url, key: async () => "key-secret" })(batch(1)));
    expect((error as Error).message).toBe(
      "the receiver cannot be reached: the connection to it failed (ECONNREFUSED)",
    );
    expect(inspect(error, { depth: 9 })).not.toContain("secret");
  });
});
