import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import {
  type ActiveRun,
  ClientClosedError,
  type RunEvent,
  type RunInput,
  runEventNames,
  SessionAlreadyExistsError,
  Sessiond,
  SessionEndedError,
} from "@sessiond/client";
import { Sessiond as WebSessiond } from "@sessiond/client/web";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
/** The client's clock, which only the tests move. */
let nowMs: number;

const input: RunInput = { sessionId: "trip", agentId: "travel", goal: "Find a flight to Osaka" };

/** Work that goes on until its run is over, and does not look at the signal. */
const forever = () => new Promise<never>(() => {});

let namespaces = 0;

beforeAll(async () => {
  server = await startInMemory();
});

/** Every test has a namespace to itself. */
beforeEach(() => {
  nowMs = 5_000;
  const environment = { elapsedMs: () => nowMs };
  const namespace = `test-${++namespaces}`;
  sessiond = new Sessiond({ address: server.address, namespace, environment });
});

afterEach(() => sessiond.close());

afterAll(() => server.stop());

/** A run with a thought, a call that takes 1,500 ms, and an output. */
async function findFlight(run: ActiveRun): Promise<string> {
  await run.step("thinking", "I need the flights of that day");
  const search = { name: "flights", input: { to: "KIX" } };
  const flights = await run.step("tool_call", search, async () => {
    nowMs += 1_500;
    return ["NH 1", "JL 5"];
  });
  return `Take ${flights[0]}`;
}

function line({ type, stepNumber, content, toolName, status }: RunEvent) {
  return [type, stepNumber, content, toolName, status];
}

const everything = [
  ["session_start", 0, "Find a flight to Osaka", "", undefined],
  ["step_start", 1, "", "", undefined],
  ["thinking", 1, "I need the flights of that day", "", undefined],
  ["step_complete", 1, "", "", "succeeded"],
  ["step_start", 2, "", "flights", undefined],
  ["tool_call", 2, '{"to":"KIX"}', "flights", undefined],
  ["tool_result", 3, '["NH 1","JL 5"]', "flights", "succeeded"],
  ["step_complete", 3, "", "flights", "succeeded"],
  ["step_start", 4, "", "", undefined],
  ["output", 4, "Take NH 1", "", undefined],
  ["step_complete", 4, "", "", "succeeded"],
  ["done", 0, "", "", "completed"],
];

describe("a run that is awaited", () => {
  test("says what its work gave, and every step", async () => {
    const result = await sessiond.run(input, findFlight);
    expect(result).toMatchObject({
      status: "completed",
      output: "Take NH 1",
      error: undefined,
      sessionId: "trip",
    });
    expect(result.steps).toMatchObject([
      { number: 1, type: "thinking", output: "I need the flights of that day" },
      { number: 2, type: "tool_call", name: "flights", input: '{"to":"KIX"}', status: undefined },
      {
        number: 3,
        type: "tool_result",
        name: "flights",
        input: '{"to":"KIX"}',
        output: '["NH 1","JL 5"]',
        status: "succeeded",
        durationMs: 1_500,
      },
      { number: 4, type: "output", output: "Take NH 1" },
    ]);
    expect(new Set(result.steps.map(({ author }) => author))).toEqual(new Set(["travel"]));
    expect(JSON.parse(JSON.stringify(result))).toMatchObject({ status: "completed" });
    const { totalTokens, inputTokens, outputTokens } = result.usage;
    expect(totalTokens).toBeGreaterThan(0);
    expect(inputTokens + outputTokens).toBe(totalTokens);
  });

  test("gives a structure as it is, and records it", async () => {
    const { output, steps } = await sessiond.run(input, () => ({ flight: "NH 1", stops: [] }));
    expect(output).toEqual({ flight: "NH 1", stops: [] });
    expect(JSON.parse(steps[0]?.output ?? "")).toEqual({ flight: "NH 1", stops: [] });
  });

  test("records no output when its work gives nothing", async () => {
    const { status, output, steps } = await sessiond.run(input, () => {});
    expect([status, output, steps]).toEqual(["completed", undefined, []]);
  });

  test("has a session with the preset of executions, overridden field by field", async () => {
    const limits = { maxSteps: 15 };
    const tools = ["flights", { name: "hotels", description: "Finds hotels" }];
    const context = { user: "Alice", seats: 2 };
    const run = sessiond.run({ ...input, limits, tools, context, model: "gpt-5" }, () => {});
    const { message } = await run.session();
    expect(message).toMatchObject({ preset: "execution", agentId: "travel", model: "gpt-5" });
    expect(message.limits).toMatchObject({ maxSteps: 15, maxTokens: 4_000 });
    expect(message.limits?.timeout?.seconds).toBe(120n);
    expect(message.tools).toMatchObject([{ name: "flights" }, { description: "Finds hotels" }]);
    expect(message.context?.kind.case).toBe("structValue");
    await run;
  });
});

describe("a run that is iterated", () => {
  test("shows its events live, by the names of the table, with their fields", async () => {
    const events = await collect(sessiond.run(input, findFlight));
    expect(events.map(line)).toEqual(everything);
  });

  test("Gapless: shows a call before its work is done", async () => {
    const searching = Promise.withResolvers<string>();
    const run = sessiond.run(input, (active) =>
      active.step("tool_call", { name: "flights" }, () => searching.promise),
    );
    const types: string[] = [];
    for await (const { type } of run) {
      types.push(type);
      if (type === "tool_call") searching.resolve("NH 1");
    }
    expect(types).toContain("tool_result");
    expect((await run).output).toBe("NH 1");
  });

  test("Resumable: replays from its beginning when it is over, as often as one likes", async () => {
    const run = sessiond.run(input, findFlight);
    const { status } = await run;
    expect(status).toBe("completed");
    expect((await collect(run)).map(line)).toEqual(everything);
    expect((await collect(run)).map(line)).toEqual(everything);
    expect((await run).status).toBe("completed");
  });

  test("works over fetch too", async () => {
    const address = `http://${server.address}`;
    await using web = new WebSessiond({ address, namespace: sessiond.namespace });
    const run = web.run(input, findFlight);
    expect((await collect(run)).map(line)).toEqual(everything);
    const cancelled = web.run({ goal: "Find a hotel" }, forever);
    await cancelled.cancel();
    expect((await cancelled).status).toBe("cancelled");
  });

  test("goes on when the loop is left", async () => {
    const going = Promise.withResolvers<string>();
    const run = sessiond.run(input, () => going.promise);
    expect((await collect(run, 1)).map(({ type }) => type)).toEqual(["session_start"]);
    going.resolve("NH 1");
    expect((await run).status).toBe("completed");
  });

  test.each([
    ["the client's README", "sdk/client/README.md", /^\| `(?<name>\w+)` \| `(?<payload>\w+)` \|/gm],
    ["the contract's", "proto/README.md", /^\| `(?<payload>\w+)` \| `(?<name>\w+)` \|/gm],
  ])("has names for the payloads that %s says, in order, and no others", async (_, file, row) => {
    const text = await readFile(resolve(import.meta.dirname, "../..", file), "utf8");
    const rows = [...text.matchAll(row)].map(({ groups: { payload = "", name = "" } = {} }) => [
      payload.replace(/_[a-z]/g, (letter) => letter.slice(1).toUpperCase()),
      name,
    ]);
    expect(rows).toEqual(Object.entries(runEventNames));
  });

  test("has the fields that the contract's README says", async () => {
    const run = sessiond.run(input, async (active) => {
      await active.step("output", await findFlight(active));
      throw new Error("no hotels");
    });
    const filled = new Set<string>();
    for await (const { type, content, toolName, status } of run) {
      if (content !== "") filled.add(`${type} content`);
      if (toolName !== "") filled.add(`${type} tool_name`);
      if (status !== undefined) filled.add(`${type} status`);
    }
    const text = await readFile(resolve(import.meta.dirname, "../../proto/README.md"), "utf8");
    const row = /^\| `\w+` \| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|$/gm;
    const said = [...text.matchAll(row)].flatMap(([, name, ...cells]) =>
      ["content", "tool_name", "status"]
        .filter((_, index) => cells[index]?.trim() !== "")
        .map((field) => `${name} ${field}`),
    );
    expect([...filled].sort()).toEqual(said.sort());
  });
});

describe("a run whose work throws", () => {
  test("ends as failed with code and message, and is awaited all the same", async () => {
    const failure = Object.assign(new Error("no flights"), { code: "E_NONE" });
    const run = sessiond.run(input, () => Promise.reject(failure));
    const { status, output, error } = await run;
    expect([status, output]).toEqual(["failed", undefined]);
    expect(error).toEqual({ code: "E_NONE", message: "no flights", cause: failure });
    const events = await collect(run);
    expect(events.map(line)).toContainEqual(["error", 1, "no flights", "", undefined]);
    expect(events.at(-1)).toMatchObject({ type: "done", status: "failed", content: "no flights" });
  });

  test("is no unhandled rejection when nobody awaits it", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      await sessiond.sessions.create({ sessionId: "taken" });
      sessiond.run(input, () => Promise.reject(new Error("no flights")));
      const refused = sessiond.run({ ...input, sessionId: "taken" }, () => 1);
      for (const run of [refused, sessiond.run({ ...input, sessionId: "" }, () => 1)]) {
        await run.session().catch(() => {});
      }
      await collect(sessiond.watch(), 8);
      await setImmediate();
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test("ends as failed also when its error would be its last step", async () => {
    const limits = { maxSteps: 2 };
    const { status, steps } = await sessiond.run({ ...input, limits }, async (run) => {
      await run.step("thinking", "I give up");
      throw new Error("no flights");
    });
    expect([status, steps.length]).toEqual(["failed", 1]);
  });

  test("fails for an output that has no JSON form", async () => {
    const { status, error } = await sessiond.run(input, () => () => 1);
    expect([status, error?.code]).toEqual(["failed", "TypeError"]);
  });
});

describe("a tool call", () => {
  test("that fails is a result that says so, and its error is thrown", async () => {
    const failure = new Error("timetable closed");
    const { status, output, steps } = await sessiond.run(input, async (run) => {
      const call = run.step("tool_call", { name: "flights" }, () => {
        nowMs += 30;
        throw failure;
      });
      return call.catch((error: unknown) => error === failure);
    });
    expect([status, output]).toEqual(["completed", true]);
    expect(steps[1]).toMatchObject({
      type: "tool_result",
      status: "failed",
      output: "timetable closed",
      durationMs: 30,
    });
  });

  test("whose result is too large is closed by the error of that", async () => {
    const { status, error, steps } = await sessiond.run(input, (run) =>
      run.step("tool_call", { name: "flights" }, () => "x".repeat(2_000_000)),
    );
    expect([status, error?.code]).toEqual(["failed", "EVENT_TOO_LARGE"]);
    expect(steps[1]).toMatchObject({ type: "tool_result", status: "failed" });
  });

  test("runs beside another, and each has its own result", async () => {
    const { steps } = await sessiond.run(input, async (run) => {
      const first = Promise.withResolvers<string>();
      const search = run.step("tool_call", { name: "flights" }, () => first.promise);
      await run.step("tool_call", { name: "hotels" }, () => "a hotel");
      first.resolve("a flight");
      await search;
    });
    const results = steps.filter(({ type }) => type === "tool_result");
    expect(results.map(({ name, output }) => [name, output])).toEqual([
      ["hotels", "a hotel"],
      ["flights", "a flight"],
    ]);
  });

  test("without its work is completed by the result that is recorded", async () => {
    const { steps } = await sessiond.run(input, async (run) => {
      await run.step("tool_call", { name: "flights", callId: "c1" });
      await run.step("tool_result", { callId: "c1", content: "NH 1" });
      await run.step("error", { code: "stale", message: "prices are old" });
    });
    expect(steps.map(({ type, status }) => [type, status])).toEqual([
      ["tool_call", undefined],
      ["tool_result", "succeeded"],
      ["error", "failed"],
    ]);
  });
});

describe("a run that is over before its work", () => {
  test("has reached max_steps: the next step is refused, and the signal fires", async () => {
    const refused = Promise.withResolvers<unknown>();
    const run = sessiond.run({ ...input, limits: { maxSteps: 2 } }, async (active) => {
      await active.step("thinking", "one");
      await active.step("thinking", "two");
      active.step("thinking", "three").catch(refused.resolve);
      await forever();
    });
    const { status, output, steps } = await run;
    expect([status, output, steps.length]).toEqual(["max_steps_reached", undefined, 2]);
    expect(await refused.promise).toBeInstanceOf(SessionEndedError);
    expect((await collect(run)).at(-1)).toMatchObject({ status: "max_steps_reached" });
  });

  test("has completed when its last step was its output", async () => {
    const run = sessiond.run({ ...input, limits: { maxSteps: 1 } }, () => "NH 1");
    expect(await run).toMatchObject({ status: "completed", output: "NH 1", steps: [{}] });
  });

  test("does not begin the work of a call that reached the limit", async () => {
    let began = false;
    const { status } = await sessiond.run({ ...input, limits: { maxSteps: 1 } }, (run) =>
      run.step("tool_call", { name: "flights" }, () => {
        began = true;
      }),
    );
    expect([status, began]).toEqual(["max_steps_reached", false]);
  });

  test("has reached max_tokens", async () => {
    const { status } = await sessiond.run({ ...input, limits: { maxTokens: 5 } }, async (run) => {
      await run.step("thinking", "a thought of clearly more than five tokens, to be sure of it");
      await forever();
    });
    expect(status).toBe("max_tokens_reached");
  });

  test("has timed out, by the server's clock", async () => {
    let told: unknown;
    const run = sessiond.run({ ...input, limits: { timeoutMs: 20 } }, ({ signal }) => {
      signal.addEventListener("abort", () => {
        told = signal.reason;
      });
      return forever();
    });
    expect((await run).status).toBe("timeout");
    expect(told).toBeInstanceOf(SessionEndedError);
  });

  test("was cancelled by another client: its work is told, its call is closed", async () => {
    const { address, namespace } = sessiond;
    await using other = new Sessiond({ address, namespace });
    const told = Promise.withResolvers<unknown>();
    const run = sessiond.run(input, (active) =>
      active.step("tool_call", { name: "flights" }, () => {
        active.signal.addEventListener("abort", () => told.resolve(active.signal.reason));
        return forever();
      }),
    );
    for await (const { type } of run) {
      if (type !== "tool_call") continue;
      expect(await (await other.sessions.get("trip")).cancel({ reason: "user left" })).toBe(true);
    }
    expect(await told.promise).toMatchObject({ state: "CANCELLED" });
    const { status, reason, error, steps } = await run;
    expect([status, reason, error]).toEqual(["cancelled", "user left", undefined]);
    expect(steps.map(({ type }) => type)).toEqual(["tool_call", "tool_result"]);
  });

  test("was cancelled by its own signal, or with cancel()", async () => {
    const stop = new AbortController();
    const stopped = sessiond.run({ ...input, signal: stop.signal }, forever);
    await stopped.session();
    stop.abort(new Error("shutting down"));
    expect(await stopped).toMatchObject({ status: "cancelled", reason: "shutting down" });
    const cancelled = sessiond.run({ goal: "Find a hotel" }, forever);
    expect(await cancelled.cancel({ reason: "no time" })).toBe(true);
    expect(await cancelled.cancel()).toBe(false);
    expect(await cancelled).toMatchObject({ status: "cancelled", reason: "no time" });
  });
});

describe("a run that cannot", () => {
  test("be created fails when it is awaited, and when it is iterated", async () => {
    await sessiond.run(input, () => {});
    const again = sessiond.run(input, () => {});
    await expect(again.then()).rejects.toBeInstanceOf(SessionAlreadyExistsError);
    await expect(collect(again)).rejects.toBeInstanceOf(SessionAlreadyExistsError);
    const renewed = sessiond.run({ ...input, ifExists: "renew" }, () => "again");
    expect(await renewed).toMatchObject({ status: "completed", output: "again" });
  });

  test("go on because its client was closed says so", async () => {
    const run = sessiond.run(input, forever);
    await run.session();
    sessiond.close();
    await expect(run.then()).rejects.toBeInstanceOf(ClientClosedError);
  });
});
