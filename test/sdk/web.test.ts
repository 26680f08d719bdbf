import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Code, createClient } from "@connectrpc/connect";
import {
  CallAbandonedError,
  ClientClosedError,
  createWebTransport,
  ServerUnavailableError,
  Sessiond,
  UsageError,
} from "@sessiond/client/web";
import { EventService } from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

/** A server that takes connections and never answers. */
let silent: Server;
let address: string;
const sockets = new Set<Socket>();

beforeAll(async () => {
  silent = createServer((socket) => sockets.add(socket));
  await once(silent.listen(0, "127.0.0.1"), "listening");
  address = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
});

/** Answers a watch with headers, and nothing that a stream has to end with. */
function answerAndHangUp(socket: Socket, body: string): void {
  const headers = "content-type: application/connect+proto\r\ntransfer-encoding: chunked";
  socket.end(`HTTP/1.1 200 OK\r\n${headers}\r\n\r\n${body}`);
}

describe("the address of the client for browsers", () => {
  test("is a URL, by default that of a server on this machine", () => {
    expect(new Sessiond().address).toBe("http://127.0.0.1:7377");
    expect(new Sessiond("https://example.org/sessions/").address).toBe(
      "https://example.org/sessions",
    );
  });

  test.each(["127.0.0.1:7377", "unix:/run/sessiond.sock", "ftp://example.org", ""])(
    "is not %j",
    (given) => {
      expect(() => new Sessiond(given)).toThrow(UsageError);
    },
  );
});

describe("a call over fetch", () => {
  test("with a number that its field cannot hold is a UsageError", async () => {
    await using sessiond = new Sessiond({ address });
    const creation = sessiond.sessions.create({ limits: { maxSteps: -1 } });
    await expect(creation).rejects.toBeInstanceOf(UsageError);
    await expect(creation).rejects.toThrow("max_steps of SessionLimits is -1; give a whole number");
  });

  test("that takes longer than it may is a CallAbandonedError", async () => {
    await using sessiond = new Sessiond({ address, timeoutMs: 20 });
    const error = await sessiond.sessions.get("a").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CallAbandonedError);
    expect(error).toMatchObject({ code: "DEADLINE_EXCEEDED", sessionId: "a" });
  });

  test("can be aborted", async () => {
    await using sessiond = new Sessiond({ address });
    const controller = new AbortController();
    const call = sessiond.sessions.get("a", { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toBeInstanceOf(CallAbandonedError);
  });

  test("ends when the client is closed, and later ones fail", async () => {
    const sessiond = new Sessiond({ address });
    const call = sessiond.sessions.get("a");
    sessiond.close();
    await expect(call).rejects.toBeInstanceOf(ClientClosedError);
    await expect(sessiond.sessions.get("a")).rejects.toBeInstanceOf(ClientClosedError);
  });

  test("to where nothing listens is repeated as often as the option says", async () => {
    const sleep = vi.fn(async () => {});
    await using sessiond = new Sessiond({
      address: "http://127.0.0.1:1",
      retry: { attempts: 4 },
      environment: { sleep },
    });
    const error = await sessiond.sessions.get("a").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ServerUnavailableError);
    expect(error).toMatchObject({
      message: "no answer from sessiond at http://127.0.0.1:1; start it with `sessiond serve`",
      retryable: true,
    });
    expect(sleep).toHaveBeenCalledTimes(3);
  });

  test("is not repeated after a wait that would outlast its time", async () => {
    const sleep = vi.fn(async () => {});
    await using sessiond = new Sessiond({
      address: "http://127.0.0.1:1",
      retry: { attempts: 4, initialMs: 90_000, maxMs: 90_000 },
      environment: { sleep, random: () => 0.99 },
    });
    await expect(sessiond.sessions.get("a")).rejects.toBeInstanceOf(ServerUnavailableError);
    expect(sleep).not.toHaveBeenCalled();
  });
});

test("a stream over fetch whose server falls silent is lost, and its connection closed", async () => {
  const closed = Promise.withResolvers<void>();
  const falling = createServer((socket) => {
    socket.on("error", () => {}).on("close", () => closed.resolve());
    const headers = "content-type: application/connect+proto\r\ntransfer-encoding: chunked";
    socket.once("data", () => socket.write(`HTTP/1.1 200 OK\r\n${headers}\r\n\r\n`));
  });
  await once(falling.listen(0, "127.0.0.1"), "listening");
  const address = `http://127.0.0.1:${(falling.address() as AddressInfo).port}`;
  const options = { address, interceptors: [], defaultTimeoutMs: 0, silentMs: 10 };
  const events = createClient(EventService, createWebTransport(options));
  const watch = events.watchEvents({})[Symbol.asyncIterator]();
  await expect(watch.next()).rejects.toMatchObject({
    code: Code.Unavailable,
    rawMessage: `sessiond at ${address} has said nothing for 10 ms`,
  });
  await closed.promise;
  await new Promise((resolve) => falling.close(resolve));
});

test.each([
  ["in the middle of the answer", "5\r\n\0\0"],
  ["in the middle of a message", "3\r\n\0\0\0\r\n0\r\n\r\n"],
  ["without the message that ends a stream", "0\r\n\r\n"],
])("a watch over fetch that is cut %s is resumed", async (_, body) => {
  let connections = 0;
  const cutting = createServer((socket) => {
    connections += 1;
    socket.on("error", () => {}).once("data", () => answerAndHangUp(socket, body));
  });
  await once(cutting.listen(0, "127.0.0.1"), "listening");
  const { port } = cutting.address() as AddressInfo;
  await using sessiond = new Sessiond({
    address: `http://127.0.0.1:${port}`,
    retry: { attempts: 3, watchAttempts: 3 },
    environment: { sleep: async () => {} },
  });
  const error = await sessiond
    .watch()
    .next()
    .catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ServerUnavailableError);
  expect(error).toMatchObject({
    message: `lost the connection to sessiond at http://127.0.0.1:${port}`,
  });
  expect(connections).toBe(3);
  await new Promise((resolve) => cutting.close(resolve));
});
