import { Sessiond as Client, type Session } from "@sessiond/client";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

/** Runs commands; the sessions are on a server whose clock the tests set. */
let sessiond: Sessiond;
let server: InMemoryServer;
let client: Client;
let session: Session;
let nowMs: number;
let ids = 0;

beforeAll(async () => {
  nowMs = Date.parse("2026-11-20T12:00:00Z");
  sessiond = await openSessiond();
  server = await startInMemory({ clock: () => nowMs });
  client = new Client(server.address);
});
afterAll(async () => {
  client.close();
  await server.stop();
  await sessiond[Symbol.asyncDispose]();
});

/** A run with a thought, a call that takes an hour, a message and an output. */
beforeEach(async () => {
  session = await client.sessions.create({ sessionId: `run-${++ids}` });
  await session.append({ thinking: "I need the flights\nof that day" });
  const name = "flights";
  await session.append({ toolCall: { callId: "c1", name, arguments: { to: "KIX" } } });
  nowMs += 3_600_000;
  await session.append({ toolResult: { callId: "c1", content: "no flights", isError: true } });
  await session.append({ role: "user", text: "And trains?" });
  await session.append({ payload: { case: "output", value: { text: "x".repeat(500) } } });
});

const show = (...args: readonly string[]) => [
  "show",
  session.sessionId,
  ...args,
  "--address",
  server.address,
];

interface Line {
  readonly sessionId: string;
  readonly event: { readonly revision: number };
}

describe("show --replay", () => {
  test("prints the events of a session as tail does, without pauses at speed max", async () => {
    const replayed = await sessiond.ok(...show("--replay", "--speed", "max"));
    const lines = linesOf<Line>(replayed);
    expect(lines.map(({ event }) => event.revision)).toEqual([1, 2, 3, 4, 5, 6]);
    const args = ["--session", session.sessionId, "--address", server.address];
    const tailed = linesOf<Line>(await sessiond.ok("tail", ...args));
    expect(lines.map(({ event }) => event)).toEqual(tailed.map(({ event }) => event));
    const array = await sessiond.ok(...show("--replay", "--speed", "max", "-o", "json"));
    expect(JSON.parse(array)).toEqual(lines);
  });

  test("cuts long pauses, and says how long they were", async () => {
    const text = await sessiond.ok(...show("--replay", "--max-pause", "1ms", "-o", "text"));
    expect(text).toMatch(/ 3 {2}call +flights.*\n\.\.\. 1h 0m later\n.* 4 {2}result +no flights\n/);
    expect(text).toMatch(/^2026-11-20 \d\d:\d\d:\d\d {5}1 {2}started/);
  });

  test("with --steps shows the events of the run only", async () => {
    const lines = linesOf<Line>(
      await sessiond.ok(...show("--replay", "--steps", "--speed", "max")),
    );
    expect(lines.map(({ event }) => event.revision)).toEqual([1, 2, 3, 4, 6]);
  });

  test("waits at the pace of the recording, and ends in the middle of a pause when interrupted", async () => {
    for (const format of ["json", "text"]) {
      const replay = sessiond.start(
        ...show("--replay", "--speed", "4", "--max-pause", "none", "-o", format),
      );
      await replay.says("KIX");
      replay.child.kill("SIGINT");
      const { code, stdout, stderr } = await replay.ended;
      expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
      expect(stdout).not.toContain("no flights");
      if (format === "json") expect(JSON.parse(stdout)).toHaveLength(3);
    }
  });
});

describe("show --steps", () => {
  test("is a table of the steps", async () => {
    const table = await sessiond.ok(...show("--steps", "-o", "text"));
    expect(table.split("\n")).toEqual([
      "STEP  TYPE         NAME              DURATION  STATUS     INPUT/OUTPUT",
      `   1  thinking                                 succeeded  I need the flights\\nof that day`,
      `   2  tool_call    flights                                {"to":"KIX"}`,
      "   3  tool_result  flights              1h 0m  failed     no flights",
      `   4  output                                   succeeded  ${"x".repeat(500)}`,
      "",
    ]);
  });

  test("is JSON for programs", async () => {
    const lines = linesOf<{ number: number }>(await sessiond.ok(...show("--steps")));
    expect(lines).toMatchObject([
      { number: 1, type: "STEP_TYPE_THINKING" },
      { number: 2, name: "flights", input: '{"to":"KIX"}' },
      { number: 3, status: "STEP_STATUS_FAILED", duration: "3600s" },
      { number: 4, type: "STEP_TYPE_OUTPUT" },
    ]);
    expect(JSON.parse(await sessiond.ok(...show("--steps", "-o", "json")))).toEqual(lines);
  });

  test("says of a session without steps that there are none", async () => {
    await client.sessions.create({ sessionId: "idle" });
    const args = ["show", "idle", "--steps", "-o", "text", "--address", server.address];
    expect(await sessiond.run(...args)).toEqual({ code: 0, stdout: "", stderr: "no steps\n" });
  });
});
