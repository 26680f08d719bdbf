import { create } from "@bufbuild/protobuf";
import { createContextValues, type UnaryRequest } from "@connectrpc/connect";
import { status } from "@grpc/grpc-js";
import {
  CallAbandonedError,
  CommitUnknownError,
  reliable,
  ServerUnavailableError,
  ShuttingDownError,
  UsageError,
} from "@sessiond/client";
import { AppendEventsRequestSchema, EventService, SessionService } from "@sessiond/contract";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { retryInterceptor } from "../../sdk/client/src/retry/interceptor.ts";
import { retryDelayMs, retryPolicy } from "../../sdk/client/src/retry/policy.ts";
import { quickClient } from "./support/client.ts";
import { failure } from "./support/failure.ts";
import { FakeSessiond } from "./support/fake-sessiond.ts";

let server: FakeSessiond;

beforeEach(async () => {
  server = await FakeSessiond.start();
});

afterEach(async () => {
  await server.kill();
});

const hello = { role: "user", text: "hello" } as const;

describe("a call that fails for a moment", () => {
  test("Idempotent: an append whose answer is lost is repeated with its request id and stored once", async () => {
    await using sessiond = quickClient(server.address);
    const session = await sessiond.sessions.create({ sessionId: "a" });
    let lost = 0;
    server.after = ({ method }) => {
      if (method !== "AppendEvents" || lost++ > 0) return;
      server.dropConnections();
    };

    const result = await session.append(hello);
    const ids = server.callsOf("AppendEvents").map(({ request }) => request.requestId);
    expect(ids).toHaveLength(2);
    expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(ids[1]).toBe(ids[0]);
    expect(result.revisions).toEqual([2]);
    expect(server.store.eventsOf(session.uid)).toHaveLength(2);
  });

  test("a request id of the caller is sent as it is", async () => {
    await using sessiond = quickClient(server.address);
    const session = await sessiond.sessions.create({ sessionId: "a" });
    const first = await session.append(hello, { requestId: "mine" });
    const again = await session.append(hello, { requestId: "mine" });

    expect(again.revisions).toEqual(first.revisions);
    expect(server.callsOf("AppendEvents")[0]?.request.requestId).toBe("mine");
  });

  test("every mutation has a request id of its own, also over the raw clients", async () => {
    await using sessiond = quickClient(server.address);
    const session = await sessiond.sessions.create({ sessionId: "a" });
    await session.update({ title: "t" });
    await session.append(hello);
    const { namespace, sessionId } = session;
    const request = create(AppendEventsRequestSchema, { namespace, sessionId });
    await sessiond.clients.events.appendEvents(request);
    await sessiond.clients.events.appendEvents(request);
    await session.end();
    await session.delete();

    const ids = server.calls.map((call) => call.request.requestId);
    expect(new Set(ids).size).toBe(7);
    expect(ids).not.toContain("");
    expect(request.requestId).toBe("");
  });

  test("a call waits for a server that was killed and comes back", async () => {
    await using sessiond = quickClient(server.address, {
      retry: { attempts: Number.POSITIVE_INFINITY },
      sleep: async () => {
        if (restarts++ === 3) await server.restart();
      },
    });
    let restarts = 0;
    const session = await sessiond.sessions.create({ sessionId: "a" });
    await server.kill();

    expect((await session.append(hello)).revisions).toEqual([2]);
    expect(restarts).toBeGreaterThan(3);
  });

  test.each([
    ["SHUTTING_DOWN", ShuttingDownError],
    ["COMMIT_UNKNOWN", CommitUnknownError],
  ])("%s is repeated as often as the option says, then thrown", async (reason, type) => {
    await using sessiond = quickClient(server.address, { retry: { attempts: 4 } });
    server.before = () => {
      throw failure({ code: status.UNAVAILABLE, reason });
    };

    const error = await sessiond.sessions.create().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ retryable: true, requestId: server.calls[0]?.request.requestId });
    expect(server.calls).toHaveLength(4);
  });

  test("waits grow exponentially up to the limit, with full jitter", async () => {
    const waits: number[] = [];
    await using sessiond = quickClient(server.address, {
      retry: { attempts: 6, initialMs: 100, maxMs: 500 },
      random: () => 0.5,
      sleep: (ms) => {
        waits.push(ms);
      },
    });
    server.before = () => {
      throw failure({ code: status.UNAVAILABLE, reason: "SHUTTING_DOWN" });
    };

    await expect(sessiond.sessions.get("a")).rejects.toThrow();
    expect(waits).toEqual([50, 100, 200, 250, 250]);
  });
});

test("the retry option reliable waits 4 to 60 seconds, longer each time", async () => {
  const longest = retryPolicy("reliable", { random: () => 1 });
  const shortest = retryPolicy("reliable", { random: () => 0 });
  const failures = [1, 2, 3, 4, 5, 50];
  expect(failures.map((count) => retryDelayMs(longest, count))).toEqual([
    8_000, 16_000, 32_000, 60_000, 60_000, 60_000,
  ]);
  expect(failures.map((count) => retryDelayMs(shortest, count))).toEqual(failures.map(() => 4_000));
  expect(longest.attempts).toBe(3);
  expect(retryPolicy({ ...reliable, attempts: 8 }).attempts).toBe(8);
});

test("too many calls for the server is answered later", async () => {
  await using sessiond = quickClient(server.address);
  let refused = 0;
  server.before = () => {
    if (refused++ > 0) return;
    throw failure({ code: status.RESOURCE_EXHAUSTED, reason: "TOO_MANY_CALLS" });
  };
  await sessiond.sessions.create({ sessionId: "a" });
  expect(server.calls).toHaveLength(2);
});

describe("a call that is not repeated", () => {
  test.each([
    ["REVISION_CONFLICT", status.ABORTED],
    ["TOO_MANY_WATCHES", status.RESOURCE_EXHAUSTED],
    ["SESSION_LOG_FULL", status.RESOURCE_EXHAUSTED],
    ["WRITES_REFUSED", status.UNAVAILABLE],
    ["INTERNAL", status.INTERNAL],
    ["DATA_LOSS", status.DATA_LOSS],
  ])("%s is thrown at once", async (reason, code) => {
    await using sessiond = quickClient(server.address);
    server.before = () => {
      throw failure({ code, reason });
    };

    const error = await sessiond.sessions.create().catch((e: unknown) => e);
    expect(error).toMatchObject({ reason, retryable: false });
    expect(server.calls).toHaveLength(1);
  });

  test("a mutation without a request id is made once", async () => {
    const attempts = await attemptsOf({ requestId: "" });
    expect(attempts).toBe(1);
    expect(await attemptsOf({ requestId: "given" })).toBe(3);
  });

  test("a method the contract does not mark as repeatable is made once", async () => {
    expect(await attemptsOf({ requestId: "given", idempotency: 0 })).toBe(1);
  });

  test("the signal ends the wait for the next attempt", async () => {
    const controller = new AbortController();
    await using sessiond = quickClient(server.address, {
      retry: { attempts: Number.POSITIVE_INFINITY },
      sleep: () => controller.abort(),
    });
    await server.kill();

    const { signal } = controller;
    const error = await sessiond.sessions.get("a", { signal }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CallAbandonedError);
    expect(error).toMatchObject({ code: "CANCELLED" });
  });

  test("a wait that would outlast the call's time is not begun, and the real error is thrown", async () => {
    const sleep = vi.fn();
    await using sessiond = quickClient(server.address, {
      retry: { attempts: Number.POSITIVE_INFINITY, initialMs: 90_000, maxMs: 90_000 },
      random: () => 0.99,
      sleep,
    });
    await server.kill();

    await expect(sessiond.sessions.get("a")).rejects.toBeInstanceOf(ServerUnavailableError);
    expect(sleep).not.toHaveBeenCalled();
  });

  test.each([{ attempts: 0 }, { attempts: Number.NaN }, { initialMs: -1 }, { minMs: 9_000 }])(
    "the retry option %j is refused",
    (retry) => {
      expect(() => retryPolicy(retry)).toThrow(UsageError);
    },
  );
});

/** How often an append is made that always fails with a lost connection. */
async function attemptsOf(args: { requestId: string; idempotency?: 0 }): Promise<number> {
  const { requestId, idempotency } = args;
  await using sessiond = quickClient("127.0.0.1:1");
  let raised: unknown;
  await sessiond.clients.events.listEvents({}).catch((e: unknown) => {
    raised = e;
  });
  const method = EventService.method.appendEvents;
  const request: UnaryRequest = {
    stream: false,
    service: SessionService,
    method: idempotency === undefined ? method : { ...method, idempotency },
    message: create(AppendEventsRequestSchema, { requestId }),
    requestMethod: "POST",
    url: "",
    signal: new AbortController().signal,
    header: new Headers(),
    contextValues: createContextValues(),
  };
  const next = vi.fn().mockRejectedValue(raised);
  const policy = retryPolicy({}, { sleep: () => Promise.resolve() });
  await expect(retryInterceptor(policy)(next)(request)).rejects.toBe(raised);
  return next.mock.calls.length;
}
