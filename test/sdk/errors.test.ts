import { readFile } from "node:fs/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { status } from "@grpc/grpc-js";
import {
  CallAbandonedError,
  ClientClosedError,
  EventTooLargeError,
  errorByReason,
  fromConnectError,
  InvalidFieldError,
  RevisionConflictError,
  ServerUnavailableError,
  type Sessiond,
  SessiondError,
  UsageError,
} from "@sessiond/client";
import * as contractPackage from "@sessiond/contract";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { quickClient } from "./support/client.ts";
import { failure } from "./support/failure.ts";
import { FakeSessiond } from "./support/fake-sessiond.ts";

const contract = await readFile("proto/sessiond/v1/error_reason.proto", "utf8");

/** Values that every error has a place for, or that name what the call named. */
const ofEveryError = ["namespace", "session_id", "request_id"];

/** The example that the contract gives for a reason; empty when it gives none. */
function exampleOf(reason: string): Record<string, string> {
  const end = contract.indexOf(`ERROR_REASON_${reason} =`);
  const comment = contract.slice(contract.lastIndexOf(";", end), end).replaceAll(/\n *\/\//g, "");
  return JSON.parse(/Example: (\{.*\})/.exec(comment)?.[1] ?? "{}");
}

const camelCase = (name: string) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

let server: FakeSessiond;

beforeEach(async () => {
  server = await FakeSessiond.start();
});

afterEach(async () => {
  await server.kill();
});

/** What a call fails with when the server answers so. */
async function thrownFor(answer: Parameters<typeof failure>[0]): Promise<unknown> {
  await using sessiond = quickClient(server.address, { retry: { attempts: 1 } });
  server.before = () => {
    throw failure(answer);
  };
  return await sessiond.sessions.get("a").catch((error: unknown) => error);
}

describe("errors of the server", () => {
  test.each(Object.entries(errorByReason))("%s has a class of its own", async (reason, type) => {
    const metadata = { session_id: "a", extra: "1" };
    const error = await thrownFor({ code: status.INTERNAL, reason, message: "why", metadata });

    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ name: type.name, message: "why", reason, details: metadata });
    expect(new Set(Object.values(errorByReason)).size).toBe(Object.keys(errorByReason).length);
  });

  test.each(Object.entries(errorByReason))(
    "%s has the values of the contract's example as fields",
    (reason, type) => {
      const metadata = exampleOf(reason);
      const error = new type({ message: "why", code: "UNKNOWN", reason, details: metadata });

      for (const [name, value] of Object.entries(metadata)) {
        if (ofEveryError.includes(name)) continue;
        expect([name, String(Reflect.get(error, camelCase(name)))]).toEqual([name, value]);
      }
    },
  );

  test("a revision conflict has its revisions as numbers", async () => {
    const metadata = { session_id: "a", expected: "41", actual: "43" };
    const code = status.ABORTED;
    const error = await thrownFor({ code, reason: "REVISION_CONFLICT", metadata });

    expect(error).toBeInstanceOf(RevisionConflictError);
    expect(error).toMatchObject({ expected: 41, actual: 43, code: "ABORTED", sessionId: "a" });
  });

  test("an event that is too large has its sizes as numbers", async () => {
    const metadata = { actual_bytes: "1200000", limit_bytes: "1048576" };
    const code = status.INVALID_ARGUMENT;
    const error = await thrownFor({ code, reason: "EVENT_TOO_LARGE", metadata });

    expect(error).toBeInstanceOf(EventTooLargeError);
    expect(error).toMatchObject({ actualBytes: 1_200_000, limitBytes: 1_048_576 });
  });

  test("an invalid field names every field that is wrong", async () => {
    const violations = [
      { field: "events[0].message.text", description: "is empty" },
      { field: "request_id", description: "has 300 bytes" },
    ];
    const metadata = { field: "events[0].message.text" };
    const code = status.INVALID_ARGUMENT;
    const error = await thrownFor({ code, reason: "INVALID_FIELD", metadata, violations });

    expect(error).toBeInstanceOf(InvalidFieldError);
    expect(error).toMatchObject({ field: "events[0].message.text", violations });
  });

  test("a reason this client does not know keeps its name", async () => {
    const error = await thrownFor({ code: status.ABORTED, reason: "NEWER_THAN_THIS" });
    expect(error).toBeInstanceOf(SessiondError);
    expect(error).toMatchObject({ reason: "NEWER_THAN_THIS", code: "ABORTED" });
  });

  test("the raw clients throw ConnectError with the details in it", async () => {
    await using sessiond = quickClient(server.address);
    const error = await sessiond.clients.sessions
      .getSession({ sessionId: "a" })
      .catch((e: unknown) => e);

    expect(error).toBeInstanceOf(ConnectError);
    expect(error).toMatchObject({ code: Code.NotFound });
    const [info] = (error as ConnectError).findDetails(ErrorInfoSchema);
    expect(info).toMatchObject({ reason: "SESSION_NOT_FOUND", metadata: { session_id: "a" } });
  });

  test("there is a raw client for every service of the contract", async () => {
    const services = Object.keys(contractPackage).filter((name) => /^[A-Z]\w+Service$/.test(name));
    await using sessiond = quickClient(server.address);
    const names = Object.keys(sessiond.clients).map((name) => name.replace(/s$/, "").toLowerCase());
    expect(names.toSorted()).toEqual(
      services.map((name) => name.replace(/s?Service/, "").toLowerCase()).toSorted(),
    );
  });

  test("what is no ConnectError is left as it is", () => {
    const error = new RangeError("mine");
    expect(fromConnectError(error)).toBe(error);
  });
});

describe("a number that its field cannot hold is a UsageError, and nothing is sent:", () => {
  const whole = "give a whole number from 0 to 4294967295";
  const time = "give a time in milliseconds, within 10,000 years";
  const created = { sessionId: "fresh" };
  const calls: [string, (sessiond: Sessiond) => PromiseLike<unknown>, string][] = [
    [
      "a limit below 0",
      (sessiond) => sessiond.sessions.create({ ...created, limits: { maxSteps: -1 } }),
      `max_steps of SessionLimits is -1; ${whole}`,
    ],
    [
      "a limit with a fraction",
      (sessiond) => sessiond.sessions.create({ ...created, limits: { maxTokens: 1.5 } }),
      `max_tokens of SessionLimits is 1.5; ${whole}`,
    ],
    [
      "a timeout that is no number",
      (sessiond) => sessiond.sessions.create({ ...created, limits: { timeoutMs: Number.NaN } }),
      `timeoutMs is NaN; ${time}`,
    ],
    [
      "an endless duration",
      async (sessiond) => {
        const session = await sessiond.sessions.create({ sessionId: "a" });
        server.calls.length = 0;
        await session.append({ role: "user", text: "x", durationMs: Number.POSITIVE_INFINITY });
      },
      `durationMs is Infinity; ${time}`,
    ],
    [
      "a time to live beyond the calendar",
      (sessiond) => sessiond.sessions.create({ ...created, expiry: { ttlMs: 1e30 } }),
      `ttlMs is 1e+30; ${time}`,
    ],
    [
      "a revision below 0",
      async (sessiond) => {
        const session = await sessiond.sessions.create({ sessionId: "a" });
        server.calls.length = 0;
        await session.append({ role: "user", text: "x" }, { expectedRevision: -1 });
      },
      `expected_revision of AppendEventsRequest is -1; ${whole}`,
    ],
    [
      "half a page",
      (sessiond) => sessiond.sessions.list({ pageSize: 0.5 }),
      "page_size of ListSessionsRequest is 0.5; give a whole number from -2147483648 to 2147483647",
    ],
  ];

  test.each(calls)("%s", async (_, call, message) => {
    await using sessiond = quickClient(server.address);
    const error = await Promise.resolve()
      .then(() => call(sessiond))
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({ message, code: "INVALID_ARGUMENT", retryable: false });
    expect(server.calls).toEqual([]);
  });
});

describe("errors of the connection", () => {
  test("when nothing listens the message says where and what to start", async () => {
    await using sessiond = quickClient(server.address);
    await server.kill();

    const error = await sessiond.sessions.get("a").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ServerUnavailableError);
    expect(error).toMatchObject({
      message: `no sessiond at ${server.address}; start it with \`sessiond serve\``,
      code: "UNAVAILABLE",
      sessionId: "a",
      retryable: true,
    });
  });

  test("when no socket is at the path the message is the same", async () => {
    await using sessiond = quickClient("unix:/nonexistent/sessiond.sock");
    await expect(sessiond.sessions.get("a")).rejects.toThrow(
      "no sessiond at unix:/nonexistent/sessiond.sock; start it with `sessiond serve`",
    );
  });

  test("a call that takes longer than it may is a CallAbandonedError", async () => {
    await using sessiond = quickClient(server.address);
    server.before = () => new Promise(() => {});

    const error = await sessiond.sessions.get("a", { timeoutMs: 20 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CallAbandonedError);
    expect(error).toMatchObject({ code: "DEADLINE_EXCEEDED", sessionId: "a" });
  });

  test("aborting a call gives it up", async () => {
    await using sessiond = quickClient(server.address);
    const controller = new AbortController();
    server.before = () => {
      controller.abort();
      return new Promise(() => {});
    };

    const { signal } = controller;
    const error = await sessiond.sessions.get("a", { signal }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CallAbandonedError);
    expect(error).toMatchObject({ code: "CANCELLED" });
    expect(server.calls).toHaveLength(1);
  });

  test("closing the client ends a call under way, and later calls fail", async () => {
    const sessiond = quickClient(server.address);
    server.before = () => {
      sessiond.close();
      return new Promise(() => {});
    };

    await expect(sessiond.sessions.get("a")).rejects.toBeInstanceOf(ClientClosedError);
    await expect(sessiond.sessions.get("a")).rejects.toBeInstanceOf(ClientClosedError);
    await expect(sessiond.watch().open()).rejects.toBeInstanceOf(ClientClosedError);
  });
});
