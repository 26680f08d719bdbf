import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { expect, it } from "vitest";
import { createToy, INFO_PATH, openToy, post, toyLimits, Wire } from "./toy.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const SETTINGS_ACK = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]).toString("latin1");

it("one port serves HTTP/1.1 and HTTP/2", async () => {
  await using toy = await openToy(createToy());
  using http1 = new Wire(toy.port).send(post(INFO_PATH, "{}"));
  expect(await http1.until('"toy"')).toContain("200 OK");

  const session = connectHttp2(`http://127.0.0.1:${toy.port}`);
  const [settings] = await once(session, "remoteSettings");
  expect(settings.maxConcurrentStreams).toBe(toyLimits.streamsPerConnection);
  session.destroy();
});

it("a preface that comes byte by byte is HTTP/2", async () => {
  await using toy = await openToy(createToy());
  using wire = new Wire(toy.port);
  wire.socket.setNoDelay(true);
  for (const byte of PREFACE) {
    wire.send(byte);
    await new Promise((sent) => setImmediate(sent));
  }
  wire.send(EMPTY_SETTINGS);
  expect(await wire.until(SETTINGS_ACK)).not.toContain("HTTP/1.1");
});

it("a request that begins like the preface is HTTP/1.1", async () => {
  await using toy = await openToy(createToy());
  using wire = new Wire(toy.port).send("PR");
  wire.send("OPFIND / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  expect(await wire.until("\r\n\r\n")).toContain("HTTP/1.1 400");
});

it("a request may come in pieces", async () => {
  await using toy = await openToy(createToy());
  using wire = new Wire(toy.port);
  wire.socket.setNoDelay(true);
  for (const byte of post(INFO_PATH, "{}")) {
    wire.send(byte);
    await new Promise((sent) => setImmediate(sent));
  }
  expect(await wire.until('"toy"')).toContain("200 OK");
});

it.each([
  ["nothing", ""],
  ["half a preface", "PRI * "],
  ["half a request", "POST / HTTP/1.1\r\nhost: loc"],
])("a connection that sends %s is closed", async (_what, bytes) => {
  const limits = { ...toyLimits, silentSocketMs: 50 };
  await using toy = await openToy(createToy(), { limits });
  using wire = new Wire(toy.port).send(bytes);
  await wire.closed;
});

it("garbage is answered with 400 and the server lives on", async () => {
  await using toy = await openToy(createToy());
  using garbage = new Wire(toy.port).send(Buffer.from([0x16, 3, 1, 0, 0xff, 0, 0xfe, 10, 13, 0]));
  await garbage.closed;
  expect(garbage.received).toContain("HTTP/1.1 400");
  using broken = new Wire(toy.port).send(`${PREFACE}this is no frame at all, at all`);
  await broken.closed;
  using wire = new Wire(toy.port).send(post(INFO_PATH, "{}"));
  await wire.until('"toy"');
});

it("Bounded: a connection above the limit is closed, and one more fits when another leaves", async () => {
  const limits = { ...toyLimits, connections: 1 };
  await using toy = await openToy(createToy(), { limits });
  using first = new Wire(toy.port).send(post(INFO_PATH, "{}"));
  await first.until('"toy"');
  using second = new Wire(toy.port);
  await second.closed;
  first.socket.end();
  await first.closed;
  using third = new Wire(toy.port).send(post(INFO_PATH, "{}"));
  await third.until('"toy"');
});
