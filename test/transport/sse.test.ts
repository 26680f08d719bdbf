import { EventService, ServerService } from "@sessiond/contract";
import { describe, expect, it } from "vitest";
import { limits } from "../../src/limits.ts";
import { route } from "../../src/transport/routes.ts";
import { openTestDomain, userText } from "../support/domain.ts";
import { clientOf } from "./clients.ts";
import { APPEND_PATH, createToy, INFO_PATH, openToy, post, Wire } from "./toy.ts";

const allowed = "http://localhost:5173";

/** A request for a stream as text. */
function get(target: string, lines: readonly string[] = [], method = "GET"): string {
  return [`${method} ${target} HTTP/1.1`, "host: localhost", ...lines, "", ""].join("\r\n");
}

const streamOf = (sessionId: string) => get(`/v1/sessions/${sessionId}/stream`);

describe("a stream for browsers", () => {
  it("gives each message as an event with its cursor, kind and JSON", async () => {
    await using toy = await openToy(createToy());
    using wire = new Wire(toy.port).send(streamOf("quiet"));
    const answer = await wire.until("7}}\n\n");
    expect(answer).toContain("HTTP/1.1 200 OK");
    expect(answer).toContain("content-type: text/event-stream\r\n");
    expect(answer).toContain("cache-control: no-store\r\n");
    expect(answer).toContain("retry: 2000\n\n");
    expect(answer).toContain(
      'id: 1\nevent: created\ndata: {"cursor":"1","created":{"headRevision":7}}\n\n',
    );
  });

  it("says what ends it as its last event, and ends", async () => {
    await using toy = await openToy(createToy());
    using wire = new Wire(toy.port).send(streamOf("late-error"));
    await wire.closed;
    const [, error = ""] = /event: error\ndata: (.*)\n\n\r\n0\r\n\r\n$/.exec(wire.received) ?? [];
    expect(JSON.parse(error)).toMatchObject({
      code: "aborted",
      details: [{ debug: { reason: "REVISION_CONFLICT", metadata: { actual: "2" } } }],
    });
  });

  it("Bounded: does not run ahead of a client that stalls, and is left when that one vanishes", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port).send(streamOf("flood"));
    await wire.until("xxx");
    wire.socket.pause();
    const info = clientOf(ServerService, "Connect", open.port);
    // The kernel takes some megabytes on the way; then nothing more is asked for.
    for (let before = -1; before !== toy.flooded(); ) {
      before = toy.flooded();
      expect(before * 32).toBeLessThan(32 * 1024);
      for (let call = 0; call < 50; call++) await info.getServerInfo({});
    }
    wire.socket.destroy();
    await toy.watchAborted;
    await toy.watchLeft;
  });

  it("is left when its client hangs up in the middle of nothing", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port).send(streamOf("quiet"));
    await wire.until("created");
    wire.socket.destroy();
    await toy.watchLeft;
  });

  it("begins when the answer before it on its connection is complete", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port);
    wire.send(post(APPEND_PATH, '{"sessionId":"slow"}') + streamOf("quiet"));
    await toy.appendBegun;
    toy.release();
    await wire.until("created");
    wire.socket.destroy();
    await toy.watchLeft;
  });

  it("that waits behind another answer on its connection holds nothing", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port).send(streamOf("quiet") + streamOf("flood"));
    await wire.until("created");
    wire.socket.destroy();
    await toy.watchLeft;
    expect(toy.flooded()).toBe(0);
    await open.server.drain(10_000);
    expect(toy.logged).toEqual([]);
  });

  it("is refused during a shutdown", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port).send(post(INFO_PATH, "{}"));
    await wire.until('"toy"');
    using busy = new Wire(open.port).send(post(APPEND_PATH, '{"sessionId":"slow"}'));
    await toy.appendBegun;
    const drained = open.server.drain(10_000);
    wire.send(streamOf("quiet"));
    expect(await wire.until('"SHUTTING_DOWN"')).toContain("503 Service Unavailable");
    toy.release();
    await busy.until("200 OK");
    await drained;
  });

  it("holds up no shutdown when its client does not read", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    using wire = new Wire(open.port).send(streamOf("flood"));
    await wire.until("xxx");
    wire.socket.pause();
    await open.server.drain(10_000);
    await toy.watchLeft;
    expect(toy.logged).toMatchObject([{ message: expect.stringContaining("cut off") }]);
  });

  it("Bounded: is refused above the limit, and taken when another has ended", async () => {
    await using domain = await openTestDomain();
    const demo = { sessionId: "demo", createIfMissing: true };
    await domain.append({ ...demo, events: [userText("a")] });
    const routes = [
      route(EventService, {
        watchEvents: (request, { signal }) => domain.watches.watch(request, signal),
      }),
    ];
    await using open = await openToy({ ...createToy(), routes });
    const watches = Array.from({ length: limits.watches - 1 }, () =>
      domain.watch({ sessionId: "demo" }),
    );
    for (const watch of watches) await watch.next();
    using last = new Wire(open.port).send(streamOf("demo"));
    await last.until("created");
    using refused = new Wire(open.port).send(streamOf("demo"));
    expect(await refused.until("TOO_MANY_WATCHES")).toContain("HTTP/1.1 429");
    last.socket.destroy();
    // Its place is free as soon as the server has noticed.
    for (let taken = false; !taken; ) {
      using next = new Wire(open.port).send(streamOf("demo"));
      taken = (await next.until("\r\n\r\n")).includes("200 OK");
    }
    await Promise.all(watches.map((watch) => watch.return(undefined)));
  });

  it("is not on the probe port", async () => {
    const probeListen = { host: "127.0.0.1", port: 0 };
    await using toy = await openToy(createToy(), { probeListen });
    using wire = new Wire(toy.server.addresses.probeListen?.port ?? 0).send(streamOf("quiet"));
    expect(await wire.until("NOT_SUPPORTED")).toContain("HTTP/1.1 404");
  });
});

describe("a request for a stream", () => {
  const long = "x".repeat(10_000);

  it.each([
    ["no id", "/v1/sessions//stream", 400, "session_id"],
    ["a dot for an id", "/v1/sessions/./stream", 400, "session_id"],
    ["two dots for an id", "/v1/sessions/../stream", 400, "session_id"],
    ["two encoded dots for an id", "/v1/sessions/%2e%2e/stream", 400, "session_id"],
    ["a broken escape", "/v1/sessions/%zz/stream", 400, "session_id"],
    ["half an escape", "/v1/sessions/a%/stream", 400, "session_id"],
    ["an escape that is not UTF-8", "/v1/sessions/%ff/stream", 400, "session_id"],
    ["half a surrogate pair", "/v1/sessions/%ed%a0%80/stream", 400, "session_id"],
    ["more than the session's name", "/v1/sessions/a/b/stream", 404, undefined],
    ["a slash at its end", "/v1/stream/", 404, undefined],
    ["a path there is not", "/v1/sessions/quiet", 404, undefined],
    ["a way out", "/v1/../../etc/passwd", 404, undefined],
    ["a long path there is not", `/v1/${long}`, 404, undefined],
    ["an unknown parameter", "/v1/stream?from=now", 400, "from"],
    ["a parameter of every object", "/v1/stream?start=toString", 400, "start"],
    ["a parameter twice", "/v1/stream?start=now&start=now", 400, "start"],
    ["a start there is not", "/v1/stream?start=yesterday", 400, "start"],
    ["neither yes nor no", "/v1/stream?until_ended=1", 400, "until_ended"],
    ["a broken escape in a value", "/v1/stream?namespace=%", 400, "namespace"],
    ["a broken escape in a name", "/v1/stream?%=a", 400, "query"],
  ])(
    "is refused by name when it has %s, and the server lives on",
    async (_what, target, status, field) => {
      await using toy = await openToy(createToy());
      using wire = new Wire(toy.port).send(get(target, ["connection: close"]));
      await wire.closed;
      expect(wire.received).toContain(`HTTP/1.1 ${status} `);
      expect(wire.received).toContain("content-type: application/json");
      expect(wire.received).toContain(
        field === undefined
          ? '"reason":"NOT_SUPPORTED"'
          : `"reason":"INVALID_FIELD","domain":"sessiond.dev","metadata":{"field":"${field}"}`,
      );
      using next = new Wire(toy.port).send(streamOf("quiet"));
      await next.until("created");
    },
  );

  it.each(["POST", "HEAD"])("is refused with %s, which says what is served", async (method) => {
    await using toy = await openToy(createToy());
    const lines = ["content-length: 2", "connection: close"];
    using wire = new Wire(toy.port).send(`${get("/v1/stream", lines, method)}{}`);
    await wire.closed;
    expect(wire.received).toContain("HTTP/1.1 405 Method Not Allowed\r\n");
    expect(wire.received).toContain("allow: GET\r\n");
  });

  it.each([
    ["another Host", get("/v1/stream").replace("localhost", "evil.example")],
    ["an Origin that is not listed", get("/v1/stream", ["origin: http://evil.example"])],
    ["a page of another site", get("/v1/stream", ["sec-fetch-site: cross-site"])],
  ])("is refused when it comes from %s", async (_what, request) => {
    await using toy = await openToy(createToy(), { allowOrigins: [allowed] });
    using wire = new Wire(toy.port).send(request);
    expect(await wire.until("ORIGIN_REFUSED")).toContain("HTTP/1.1 403");
  });

  it("of a listed origin is answered, also where it asks before it sends Last-Event-ID", async () => {
    await using toy = await openToy(createToy(), { allowOrigins: [allowed] });
    using wire = new Wire(toy.port).send(get("/v1/stream", [`origin: ${allowed}`]));
    expect(await wire.until("created")).toContain(`access-control-allow-origin: ${allowed}\r\n`);
    const lines = [`origin: ${allowed}`, "connection: close"];
    using preflight = new Wire(toy.port).send(get("/v1/stream", lines, "OPTIONS"));
    await preflight.closed;
    expect(preflight.received).toMatch(/access-control-allow-headers: .*Last-Event-ID/);
  });
});
