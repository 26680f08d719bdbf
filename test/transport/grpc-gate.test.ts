import { connect, constants, type IncomingHttpHeaders } from "node:http2";
import { status } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { createToy, INFO_PATH, openToy } from "./toy.ts";

/** Headers and body of one call over plaintext HTTP/2. */
async function call(port: number, headers: Record<string, string>) {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({ ":method": "POST", ":path": INFO_PATH, ...headers });
    stream.end(Buffer.alloc(5));
    const answered = new Promise<IncomingHttpHeaders>((resolve) => {
      stream.once("response", resolve);
    });
    const body = Buffer.concat(await stream.toArray()).toString();
    return { headers: await answered, body };
  } finally {
    session.destroy();
  }
}

it.each(["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"])(
  "%s over HTTP/2 is served",
  async (type) => {
    await using toy = await openToy(createToy());
    const answer = await call(toy.port, { "content-type": type });
    expect(answer.headers[":status"]).toBe(200);
    expect(answer.body).toContain("toy");
  },
);

it.each(["application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text"])(
  "%s over HTTP/2 is refused with a hint at HTTP/1.1",
  async (type) => {
    await using toy = await openToy(createToy());
    const { headers, body } = await call(toy.port, { "content-type": type });
    expect(headers["content-type"]).toBe(type);
    expect(headers["grpc-status"]).toBe(String(status.UNIMPLEMENTED));
    expect(decodeURI(String(headers["grpc-message"]))).toContain("HTTP/1.1");
    const details = Buffer.from(String(headers["grpc-status-details-bin"]), "base64").toString();
    expect(details).toContain("WRONG_TRANSPORT");
    expect(body).toBe("");
  },
);

it.each(["application/json", "application/proto", "application/connect+proto", "text/html"])(
  "%s over HTTP/2 is refused with a hint at HTTP/1.1",
  async (type) => {
    await using toy = await openToy(createToy());
    const { headers, body } = await call(toy.port, { "content-type": type });
    expect(headers[":status"]).toBe(415);
    expect(JSON.parse(body)).toMatchObject({
      code: "unimplemented",
      message: expect.stringContaining("HTTP/1.1"),
      details: [{ debug: { reason: "WRONG_TRANSPORT" } }],
    });
  },
);

it.each(["gzip", "deflate", "snappy"])("a request compressed with %s is refused", async (name) => {
  await using toy = await openToy(createToy());
  const grpc = { "content-type": "application/grpc", "grpc-encoding": name };
  const { headers } = await call(toy.port, grpc);
  expect(headers["grpc-status"]).toBe(String(status.UNIMPLEMENTED));
  expect(headers["grpc-message"]).toContain(name);
});

it("an unknown method is UNIMPLEMENTED, with a reason", async () => {
  await using toy = await openToy(createToy());
  const { headers } = await call(toy.port, {
    "content-type": "application/grpc",
    ":path": "/sessiond.v1.ServerService/Nothing",
  });
  expect(headers["grpc-status"]).toBe(String(status.UNIMPLEMENTED));
  const details = Buffer.from(String(headers["grpc-status-details-bin"]), "base64").toString();
  expect(details).toContain("NOT_SUPPORTED");
});

// An error that nobody catches would fail the run.
it.each([
  ["known calls", INFO_PATH, "application/grpc"],
  ["unknown calls", "/sessiond.v1.ServerService/Nothing", "application/grpc"],
  ["unknown standard calls", "/grpc.health.v1.Health/Nothing", "application/grpc"],
  ["gRPC-Web calls", INFO_PATH, "application/grpc-web"],
  ["JSON calls", INFO_PATH, "application/json"],
])("%s that are reset at once do not harm the server", async (_what, path, type) => {
  await using toy = await openToy(createToy());
  const session = connect(`http://127.0.0.1:${toy.port}`);
  const closed = Array.from({ length: 50 }, () => {
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": type });
    stream.on("error", () => {});
    stream.close(constants.NGHTTP2_CANCEL);
    return new Promise((resolve) => stream.once("close", resolve));
  });
  await Promise.all(closed);
  session.destroy();
  const answer = await call(toy.port, { "content-type": "application/grpc" });
  expect(answer.body).toContain("toy");
});
