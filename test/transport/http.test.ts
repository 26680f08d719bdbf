import { gzipSync } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { EventService, ServerService } from "@sessiond/contract";
import { describe, expect, it } from "vitest";
import { clientOf, failureOf, type ProtocolName } from "./clients.ts";
import {
  APPEND_PATH,
  APPEND_STREAM_PATH,
  createToy,
  INFO_PATH,
  openToy,
  post,
  toyLimits,
  WATCH_PATH,
  Wire,
} from "./toy.ts";

/** A message of a Connect stream with JSON; shorter than 128 bytes. */
function enveloped(message: object): string {
  const json = JSON.stringify(message);
  return `\0\0\0\0${String.fromCharCode(json.length)}${json}`;
}

const streaming = { "content-type": "application/connect+json" };

describe.each<ProtocolName>(["Connect", "Connect with JSON", "gRPC-Web"])("%s", (protocol) => {
  it("carries unary calls, and errors with their reasons", async () => {
    await using toy = await openToy(createToy());
    const info = await clientOf(ServerService, protocol, toy.port).getServerInfo({});
    expect(info.server?.version).toBe("toy");
    const events = clientOf(EventService, protocol, toy.port);
    expect(await failureOf(events.appendEvents({ sessionId: "conflict" }))).toMatchObject({
      code: Code.Aborted,
      reason: "REVISION_CONFLICT",
      metadata: { expected: "41", actual: "43" },
    });
    expect(await failureOf(events.listEvents({}))).toMatchObject({
      code: Code.Unimplemented,
      reason: "NOT_SUPPORTED",
    });
  });

  it("carries streams, and the error that ends one", async () => {
    await using toy = await openToy(createToy());
    const events = clientOf(EventService, protocol, toy.port);
    const seen: string[] = [];
    const watch = async () => {
      for await (const { cursor } of events.watchEvents({ sessionId: "late-error" })) {
        seen.push(cursor);
      }
    };
    expect(await failureOf(watch())).toMatchObject({ reason: "REVISION_CONFLICT" });
    expect(seen).toEqual(["1"]);
  });

  it("refuses a request above the limit with REQUEST_TOO_LARGE", async () => {
    await using toy = await openToy(createToy());
    const events = clientOf(EventService, protocol, toy.port);
    const large = { sessionId: "x".repeat(toyLimits.requestBytes + 1) };
    expect(await failureOf(events.appendEvents(large))).toMatchObject({
      code: Code.ResourceExhausted,
      reason: "REQUEST_TOO_LARGE",
      metadata: { limit_bytes: String(toyLimits.requestBytes) },
    });
    expect(await failureOf(events.watchEvents(large)[Symbol.asyncIterator]().next())).toMatchObject(
      { reason: "REQUEST_TOO_LARGE" },
    );
  });

  it("hides the cause of a defect and logs it under the id that the caller sees", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    const events = clientOf(EventService, protocol, open.port);
    const failed = await failureOf(events.appendEvents({ sessionId: "defect" }));
    expect(failed).toMatchObject({ code: Code.Internal, reason: "INTERNAL" });
    expect(failed.error.rawMessage).not.toContain("secret");
    const { request_id } = { ...failed.metadata };
    expect(request_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(toy.logged).toMatchObject([{ fields: { request_id } }]);
  });
});

describe("JSON over HTTP/1.1", () => {
  it.each([
    ["an unknown field", '{"sesion_id":"demo"}', "sesion_id"],
    ["a wrong type", '{"events":7}', "events"],
    ["no JSON", "{", "JSON"],
  ])("names %s", async (_what, body, named) => {
    await using toy = await openToy(createToy());
    using wire = new Wire(toy.port).send(post(APPEND_PATH, body));
    const answer = await wire.until('"INVALID_FIELD"');
    expect(answer).toContain("HTTP/1.1 400");
    expect(answer).toContain(named);
  });

  it("names an unknown field of a stream's request", async () => {
    await using toy = await openToy(createToy());
    using wire = new Wire(toy.port).send(post(WATCH_PATH, enveloped({ x: 1 }), streaming));
    expect(await wire.until('"INVALID_FIELD"')).toContain("invalid_argument");
  });

  it("is not compressed, whatever the client accepts", async () => {
    await using toy = await openToy(createToy());
    const accept = { "accept-encoding": "gzip, br", "connect-accept-encoding": "gzip" };
    const events = Array.from({ length: 5_000 }, () => ({}));
    using wire = new Wire(toy.port).send(post(APPEND_PATH, JSON.stringify({ events }), accept));
    expect((await wire.until("uuuu")).toLowerCase()).not.toContain("content-encoding");
  });

  it("is refused when it is compressed", async () => {
    await using toy = await openToy(createToy());
    const body = gzipSync("{}");
    using wire = new Wire(toy.port);
    wire.send(
      `POST ${INFO_PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
        `content-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    wire.send(body);
    expect(await wire.until('"NOT_SUPPORTED"')).toContain("unimplemented");
  });

  it("of an unknown path gets an error that names the services", async () => {
    await using toy = await openToy(createToy());
    using wire = new Wire(toy.port).send(post("/v1/sessions", "{}"));
    const answer = await wire.until('"NOT_SUPPORTED"');
    expect(answer).toContain("HTTP/1.1 501");
    expect(answer).toContain("/sessiond.v1.EventService/");
  });

  it("of an unknown content type gets an error that names the known ones", async () => {
    await using toy = await openToy(createToy());
    using wire = new Wire(toy.port).send(post(INFO_PATH, "", { "content-type": "text/plain" }));
    const answer = await wire.until('"NOT_SUPPORTED"');
    expect(answer).toContain("HTTP/1.1 415");
    expect(answer).toContain("application/json");
  });

  it.each(["application/connect+json", "application/json", "application/grpc-web+proto"])(
    "sends AppendStream to gRPC, as %s",
    async (type) => {
      await using toy = await openToy(createToy());
      using wire = new Wire(toy.port).send(
        post(APPEND_STREAM_PATH, enveloped({}), { "content-type": type }),
      );
      await wire.until(type.includes("web") ? "grpc-status: 12" : "WRONG_TRANSPORT");
      expect(wire.received).toContain("gRPC");
    },
  );
});

describe("a stream over HTTP/1.1", () => {
  it("sends headers and its first message at once, and then may be quiet", async () => {
    await using toy = await openToy(createToy());
    using wire = new Wire(toy.port).send(post(WATCH_PATH, enveloped({}), streaming));
    const answer = await wire.until('"headRevision":7');
    expect(answer).toContain("HTTP/1.1 200 OK");
  });

  it("outlives the time limits of requests", async () => {
    const limits = { ...toyLimits, silentSocketMs: 20 };
    const toy = createToy();
    await using open = await openToy(toy, { limits });
    using quiet = new Wire(open.port).send(post(WATCH_PATH, enveloped({}), streaming));
    await quiet.until('"headRevision":7');
    // A connection that is slow to begin shows that the limits have run out meanwhile.
    using slow = new Wire(open.port).send("POST / HTTP/1.1\r\n");
    await slow.until("HTTP/1.1 408");
    using another = new Wire(open.port);
    await another.closed;
    expect(quiet.socket.destroyed).toBe(false);
  });

  it("fires the signal and leaves the generator when its client hangs up", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port).send(post(WATCH_PATH, enveloped({}), streaming));
    await wire.until('"headRevision":7');
    wire.socket.destroy();
    await toy.watchAborted;
    await toy.watchLeft;
  });

  it("Bounded: does not run ahead of a client that stalls, and is left when that one vanishes", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port);
    wire.send(post(WATCH_PATH, enveloped({ sessionId: "flood" }), streaming));
    await wire.until("xxx");
    wire.socket.pause();
    const info = clientOf(ServerService, "Connect", open.port);
    for (let call = 0; call < 50; call++) {
      await info.getServerInfo({});
    }
    // The kernel takes some megabytes on the way.
    expect(toy.flooded() * 32).toBeLessThan(32 * 1024);
    wire.socket.destroy();
    await toy.watchAborted;
    await toy.watchLeft;
  });
});

describe("GET /healthz", () => {
  const get = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

  it.each([
    [{ ok: true }, "200 OK", "ok"],
    [{ ok: false, detail: "writes are refused" }, "503 Service Unavailable", "writes are refused"],
  ])("says %j", async (healthz, status, text) => {
    await using toy = await openToy(createToy(), { healthz: () => healthz });
    using wire = new Wire(toy.port).send(get);
    await wire.closed;
    expect(wire.received).toContain(status);
    expect(wire.received).toContain(text);
  });

  it("answers any Host on the probe port, which serves no calls", async () => {
    const probeListen = { host: "127.0.0.1", port: 0 };
    await using toy = await openToy(createToy(), { probeListen });
    const port = toy.server.addresses.probeListen?.port ?? 0;
    using health = new Wire(port).send(get.replace("localhost", "10.1.2.3:7378"));
    await health.closed;
    expect(health.received).toContain("200 OK");
    using call = new Wire(port).send(post(INFO_PATH, "{}"));
    expect(await call.until('"NOT_SUPPORTED"')).not.toContain('"toy"');
  });
});
