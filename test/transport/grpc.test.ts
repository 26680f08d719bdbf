import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import {
  EventService,
  ServerService,
  WatchEventsRequestSchema,
  WatchEventsResponseSchema,
} from "@sessiond/contract";
import { ErrorInfoSchema, StatusSchema } from "@sessiond/contract/rpc";
import { describe, expect, it } from "vitest";
import { sharedEncoder } from "../../src/transport/grpc-codec.ts";
import { clientOf, failureOf } from "./clients.ts";
import { APPEND_PATH, createToy, gate, openToy, toyLimits, WATCH_PATH } from "./toy.ts";

const bytes = (buffer: Buffer) => buffer;

/** A call with raw bytes through grpc-js. */
async function rawCall(port: number, request: Buffer) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    return await new Promise<ServiceError | null>((resolve) => {
      const done = (error: ServiceError | null) => resolve(error);
      client.makeUnaryRequest(APPEND_PATH, bytes, bytes, request, done);
    });
  } finally {
    client.close();
  }
}

function reasonOf(error: ServiceError | null): string | undefined {
  const details = error?.metadata.get("grpc-status-details-bin")[0];
  const any = details && fromBinary(StatusSchema, details as Buffer).details[0];
  return any && anyUnpack(any, ErrorInfoSchema)?.reason;
}

describe("unary calls over gRPC", () => {
  it("are answered", async () => {
    await using toy = await openToy(createToy());
    const answer = await clientOf(EventService, "gRPC", toy.port).appendEvents({
      sessionId: "echo",
      events: [{}, {}, {}],
    });
    expect(answer.headRevision).toBe(3);
    const info = await clientOf(ServerService, "gRPC", toy.port).getServerInfo({});
    expect(info.server?.version).toBe("toy");
  });

  it("fail with code, message, reason and values", async () => {
    await using toy = await openToy(createToy());
    const events = clientOf(EventService, "gRPC", toy.port);
    const failed = await failureOf(events.appendEvents({ sessionId: "conflict" }));
    expect(failed).toMatchObject({
      code: Code.Aborted,
      reason: "REVISION_CONFLICT",
      metadata: { session_id: "conflict", expected: "41", actual: "43" },
    });
    expect(failed.error.rawMessage).toContain("expected revision 41");
  });

  it("hide the cause of a defect and log it", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    const events = clientOf(EventService, "gRPC", open.port);
    const failed = await failureOf(events.appendEvents({ sessionId: "defect" }));
    expect(failed).toMatchObject({ code: Code.Internal, reason: "INTERNAL" });
    expect(failed.error.rawMessage).not.toContain("secret");
    const { request_id } = { ...failed.metadata };
    expect(request_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(toy.logged).toMatchObject([{ fields: { request_id } }]);
  });

  it("with bytes that are no protobuf fail with INVALID_FIELD", async () => {
    await using toy = await openToy(createToy());
    const error = await rawCall(toy.port, Buffer.from([0xff, 0xff, 0xff]));
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    expect(reasonOf(error)).toBe("INVALID_FIELD");
  });

  it("Bounded: above the limit fail with REQUEST_TOO_LARGE, at the limit they are read", async () => {
    await using toy = await openToy(createToy());
    const error = await rawCall(toy.port, Buffer.alloc(toyLimits.requestBytes + 1));
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(reasonOf(error)).toBe("REQUEST_TOO_LARGE");
    const allowed = await rawCall(toy.port, Buffer.alloc(toyLimits.requestBytes));
    expect(reasonOf(allowed)).toBe("INVALID_FIELD");
  });
});

describe("streams over gRPC", () => {
  it("send headers at once, before there is a message", async () => {
    await using toy = await openToy(createToy());
    const session = connect(`http://127.0.0.1:${toy.port}`);
    const watch = requestWatch(session, "silent");
    const headers = new Promise<IncomingHttpHeaders>((resolve) => watch.once("response", resolve));
    expect((await headers)["content-type"]).toBe("application/grpc+proto");
    session.destroy();
  });

  it("send a message at once, and then may be quiet", async () => {
    await using toy = await openToy(createToy());
    const events = clientOf(EventService, "gRPC", toy.port);
    const watch = events.watchEvents({ sessionId: "quiet" })[Symbol.asyncIterator]();
    const first = await watch.next();
    expect(first.value.message).toMatchObject({ case: "created", value: { headRevision: 7 } });
  });

  it("deliver what came before the error that ends them", async () => {
    await using toy = await openToy(createToy());
    const events = clientOf(EventService, "gRPC", toy.port);
    const watch = events.watchEvents({ sessionId: "late-error" })[Symbol.asyncIterator]();
    expect((await watch.next()).value.cursor).toBe("1");
    expect(await failureOf(watch.next())).toMatchObject({ reason: "REVISION_CONFLICT" });
  });

  it("fire the signal and leave the generator when the client cancels", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    const aborter = new AbortController();
    const events = clientOf(EventService, "gRPC", open.port);
    const watch = events
      .watchEvents({ sessionId: "quiet" }, { signal: aborter.signal })
      [Symbol.asyncIterator]();
    await watch.next();
    aborter.abort();
    expect(await failureOf(watch.next())).toMatchObject({ code: Code.Canceled });
    expect(await toy.watchAborted).toMatchObject({ code: Code.Canceled });
    await toy.watchLeft;
  });

  it("end at the deadline with CALL_ABANDONED, and the signal says so", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    const session = connect(`http://127.0.0.1:${open.port}`);
    const watch = requestWatch(session, "quiet", { "grpc-timeout": "20m" });
    const trailers = new Promise<IncomingHttpHeaders>((resolve) => watch.once("trailers", resolve));
    watch.resume();
    const ended = await trailers;
    expect(ended["grpc-status"]).toBe(String(status.DEADLINE_EXCEEDED));
    const details = Buffer.from(String(ended["grpc-status-details-bin"]), "base64").toString();
    expect(details).toContain("CALL_ABANDONED");
    expect(await toy.watchAborted).toMatchObject({ code: Code.DeadlineExceeded });
    await toy.watchLeft;
    session.destroy();
  });

  it("Bounded: ask for no more than one message ahead of a client that stalls", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    const session = connect(`http://127.0.0.1:${open.port}`);
    const watch = requestWatch(session, "flood");
    // Nothing is read, so the window of 64 KiB fills and opens no more.
    await new Promise((headers) => watch.once("response", headers));
    const info = clientOf(ServerService, "gRPC", open.port);
    for (let call = 0; call < 50; call++) {
      await info.getServerInfo({});
    }
    expect(toy.flooded()).toBeGreaterThan(1);
    expect(toy.flooded()).toBeLessThan(5);
    session.destroy();
    await toy.watchAborted;
    await toy.watchLeft;
  });

  it("encode a message once, however many of them send it", () => {
    const encode = sharedEncoder(WatchEventsResponseSchema);
    const message = create(WatchEventsResponseSchema, { cursor: "1" });
    const twin = create(WatchEventsResponseSchema, { cursor: "1" });
    expect(encode(message)).toBe(encode(message));
    expect(encode(twin)).not.toBe(encode(message));
    expect(encode(twin)).toEqual(encode(message));
    expect(fromBinary(WatchEventsResponseSchema, encode({ cursor: "2" })).cursor).toBe("2");
  });
});

describe("streams in both directions", () => {
  it("answer each request before the next is sent", async () => {
    await using toy = await openToy(createToy());
    const events = clientOf(EventService, "gRPC", toy.port);
    let answered = gate();
    async function* batches() {
      for (let batch = 0; batch < 3; batch++) {
        yield { append: { sessionId: "echo" } };
        await answered.promise;
        answered = gate();
      }
    }
    const revisions: (number | undefined)[] = [];
    for await (const { append } of events.appendStream(batches())) {
      revisions.push(append?.headRevision);
      answered.resolve();
    }
    expect(revisions).toEqual([1, 2, 3]);
  });

  it("end with the error of the batch that failed", async () => {
    await using toy = await openToy(createToy());
    const events = clientOf(EventService, "gRPC", toy.port);
    async function* batches() {
      yield { append: { sessionId: "echo" } };
      yield { append: { sessionId: "fail" } };
      await gate().promise;
    }
    const answers = events.appendStream(batches())[Symbol.asyncIterator]();
    expect((await answers.next()).value.append?.headRevision).toBe(1);
    expect(await failureOf(answers.next())).toMatchObject({ reason: "REVISION_CONFLICT" });
  });
});

function requestWatch(
  session: ClientHttp2Session,
  sessionId: string,
  headers: Readonly<Record<string, string>> = {},
) {
  const message = toBinary(
    WatchEventsRequestSchema,
    create(WatchEventsRequestSchema, { sessionId }),
  );
  const stream = session.request({
    ":method": "POST",
    ":path": WATCH_PATH,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => {});
  stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
  return stream;
}
