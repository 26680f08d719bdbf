import { Code } from "@connectrpc/connect";
import { EventService, ServerService } from "@sessiond/contract";
import { describe, expect, it } from "vitest";
import { clientOf, failureOf, type ProtocolName } from "./clients.ts";
import { APPEND_PATH, createToy, INFO_PATH, openToy, post, Wire } from "./toy.ts";

const GRACE_MS = 10_000;

describe.each<ProtocolName>(["gRPC", "Connect", "gRPC-Web"])("a shutdown, over %s", (protocol) => {
  it("lets a running call finish and refuses new ones on its connection", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    const events = clientOf(EventService, protocol, open.port);
    const running = events.appendEvents({ sessionId: "slow", events: [{}] });
    await toy.appendBegun;
    const drained = open.server.drain(GRACE_MS);
    if (protocol === "gRPC") {
      // HTTP/1.1 clients would need the connection that the running call holds.
      expect(await failureOf(events.appendEvents({ sessionId: "echo" }))).toMatchObject({
        code: Code.Unavailable,
        reason: "SHUTTING_DOWN",
      });
    }
    toy.release();
    expect((await running).headRevision).toBe(1);
    await drained;
    const late = clientOf(ServerService, protocol, open.port).getServerInfo({});
    // Nobody is left to give a reason.
    expect((await failureOf(late)).reason).toBeUndefined();
  });

  it("cuts off what does not finish in time, and says so", async () => {
    const toy = createToy();
    await using open = await openToy(toy);
    const events = clientOf(EventService, protocol, open.port);
    const client = new AbortController();
    const running = failureOf(events.appendEvents({ sessionId: "slow" }, client));
    await toy.appendBegun;
    await open.server.drain(1);
    // One gRPC call in thirty of connect-node does not end with its connection.
    client.abort();
    await running;
    expect(toy.logged).toMatchObject([{ message: expect.stringContaining("cut off") }]);
  });
});

it("a shutdown refuses new calls on an open HTTP/1.1 connection and closes it", async () => {
  const toy = createToy();
  await using open = await openToy(toy);
  using idle = new Wire(open.port).send(post(INFO_PATH, "{}"));
  await idle.until('"toy"');
  using busy = new Wire(open.port).send(post(APPEND_PATH, '{"sessionId":"slow"}'));
  await toy.appendBegun;
  const drained = open.server.drain(GRACE_MS);
  idle.send(post(INFO_PATH, "{}"));
  expect(await idle.until('"SHUTTING_DOWN"')).toContain("503 Service Unavailable");
  await idle.closed;
  toy.release();
  await busy.until("200 OK");
  await drained;
});

it("a shutdown fires its signal before it waits for calls", async () => {
  const toy = createToy();
  const shutdown = new AbortController();
  await using open = await openToy(toy, { shutdown });
  const running = clientOf(EventService, "gRPC", open.port).appendEvents({ sessionId: "slow" });
  await toy.appendBegun;
  shutdown.signal.addEventListener("abort", toy.release);
  await open.server.drain(GRACE_MS);
  await running;
  expect(open.server.shutdownSignal.aborted).toBe(true);
});

it("a shutdown takes no new connection", async () => {
  const toy = createToy();
  await using open = await openToy(toy);
  await open.server.drain(GRACE_MS);
  using wire = new Wire(open.port);
  await wire.closed;
  expect(wire.received).toBe("");
});
