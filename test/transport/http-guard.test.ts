import { describe, expect, it } from "vitest";
import { createToy, INFO_PATH, openToy, post, Wire } from "./toy.ts";

/** Sends bytes on a connection of their own; the whole answer. */
async function answerTo(port: number, bytes: string): Promise<string> {
  using wire = new Wire(port).send(bytes);
  await wire.closed;
  return wire.received;
}

const closing = { connection: "close" };

describe("a request that would reach the adapter in a bad shape", () => {
  const info = (lines: string) => `POST ${INFO_PATH} HTTP/1.1\r\n${lines}connection: close\r\n\r\n`;
  it.each([
    ["a Host with spaces", info("host: a b\r\n")],
    ["a Host with a path", info("host: localhost/x\r\n")],
    ["a Host with a user", info("host: me@localhost\r\n")],
    ["a Host with an impossible port", info("host: localhost:99999\r\n")],
    ["a Host with an open bracket", info("host: [::1\r\n")],
    ["an empty Host", info("host:\r\n")],
    ["no Host", info("")],
    ["HTTP/1.0 without Host", `POST ${INFO_PATH} HTTP/1.0\r\n\r\n`],
    [
      "a whole address as its target",
      `POST http://localhost${INFO_PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
    ],
    ["* as its target", "OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"],
    [
      "another method",
      `DELETE ${INFO_PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
    ],
    ["CONNECT as its method", "CONNECT localhost:22 HTTP/1.1\r\nhost: localhost\r\n\r\n"],
    ["a Host that is not text", info("host: \xff\xfe\r\n")],
  ])("is refused when it has %s, and the server lives on", async (_what, bytes) => {
    await using toy = await openToy(createToy());
    const answer = await answerTo(toy.port, bytes);
    expect(answer).toContain("HTTP/1.1 400");
    expect(answer).toContain('"reason":"INVALID_FIELD"');
    expect(await answerTo(toy.port, post(INFO_PATH, "{}", closing))).toContain("200 OK");
  });

  it.each(["200-ok", "100-continued", ""])("is refused when it expects %j", async (expected) => {
    await using toy = await openToy(createToy());
    const headers = { expect: expected, ...closing };
    const answer = await answerTo(toy.port, post(INFO_PATH, "{}", headers));
    expect(answer).toContain("HTTP/1.1 417");
    expect(answer).toContain('"reason":"INVALID_FIELD"');
    expect(answer).toContain(`expect \\"${expected}\\" cannot be met`);
    expect(answer).not.toContain('"toy"');
  });

  it("may expect to be asked for its body", async () => {
    await using toy = await openToy(createToy());
    const headers = { expect: "100-continue", ...closing };
    const answer = await answerTo(toy.port, post(INFO_PATH, "{}", headers));
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
  });

  it("is refused when its headers are absurd", async () => {
    await using toy = await openToy(createToy());
    const answer = await answerTo(
      toy.port,
      info(`host: localhost\r\nx: ${"y".repeat(100_000)}\r\n`),
    );
    expect(answer).toContain("HTTP/1.1 431");
  });
});

describe("the Host of a request", () => {
  it.each(["localhost", "LOCALHOST:7377", "127.0.0.1", "127.8.9.1:80", "[::1]:7377", "box.lan"])(
    "may be %s",
    async (host) => {
      await using toy = await openToy(createToy(), { allowHosts: ["box.lan"] });
      const answer = await answerTo(toy.port, post(INFO_PATH, "{}", { host, ...closing }));
      expect(answer).toContain("200 OK");
    },
  );

  it.each(["example.org", "localhost.example.org", "127.0.0.1.nip.io", "10.0.0.1", "box"])(
    "must not be %s",
    async (host) => {
      await using toy = await openToy(createToy(), { allowHosts: ["box.lan"] });
      const answer = await answerTo(toy.port, post(INFO_PATH, "{}", { host, ...closing }));
      expect(answer).toContain("HTTP/1.1 403");
      expect(answer).toContain('"reason":"ORIGIN_REFUSED"');
      expect(answer).toContain("--allow-host");
      expect(answer).not.toContain('"toy"');
    },
  );
});

describe("the Origin of a request", () => {
  const origin = "http://localhost:5173";

  it.each([origin, "http://example.org", "null", ""])(
    "%j is refused unless it is listed",
    async (value) => {
      await using toy = await openToy(createToy());
      const answer = await answerTo(toy.port, post(INFO_PATH, "{}", { origin: value, ...closing }));
      expect(answer).toContain("HTTP/1.1 403");
      expect(answer).toContain('"reason":"ORIGIN_REFUSED"');
      expect(answer).not.toContain("access-control-allow-origin");
    },
  );

  it("is answered with CORS headers when it is listed", async () => {
    await using toy = await openToy(createToy(), { allowOrigins: [origin] });
    const answer = await answerTo(toy.port, post(INFO_PATH, "{}", { origin, ...closing }));
    expect(answer).toContain("200 OK");
    expect(answer).toContain(`access-control-allow-origin: ${origin}`);
    expect(answer.toLowerCase()).toContain("grpc-status");
  });

  it("gets an answer to its preflight when it is listed", async () => {
    await using toy = await openToy(createToy(), { allowOrigins: [origin] });
    const answer = await answerTo(
      toy.port,
      `OPTIONS ${INFO_PATH} HTTP/1.1\r\nhost: localhost\r\norigin: ${origin}\r\n` +
        "access-control-request-method: POST\r\nconnection: close\r\n\r\n",
    );
    expect(answer).toContain("HTTP/1.1 204");
    expect(answer).toContain("access-control-allow-methods: POST");
    expect(answer).toContain("Connect-Protocol-Version");
  });
});

describe("a GET, which browsers send without Origin", () => {
  const get = (site: string) =>
    `GET ${INFO_PATH}?encoding=json&message=%7B%7D HTTP/1.1\r\nhost: localhost\r\n` +
    `${site}connection: close\r\n\r\n`;

  it.each(["cross-site", "same-site"])("is refused when a page is %s", async (site) => {
    await using toy = await openToy(createToy());
    const answer = await answerTo(toy.port, get(`sec-fetch-site: ${site}\r\n`));
    expect(answer).toContain("HTTP/1.1 403");
    expect(answer).not.toContain('"toy"');
  });

  it.each(["", "sec-fetch-site: none\r\n"])("is answered with %j", async (site) => {
    await using toy = await openToy(createToy());
    expect(await answerTo(toy.port, get(site))).toContain('"toy"');
  });
});
