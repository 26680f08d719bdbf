import { Sessiond as Client } from "@sessiond/client";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { counterRows } from "../../src/cli/metrics/counter-rows.ts";
import { fitted, showsUnicode, sparkline } from "../../src/cli/metrics/sparkline.ts";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { openSessiond, type Sessiond } from "./support/sessiond.ts";

let sessiond: Sessiond;
let server: InMemoryServer;
let client: Client;

beforeAll(async () => {
  sessiond = await openSessiond();
  server = await startInMemory();
  client = new Client({ address: server.address });
  for (const [sessionId, agentId] of [
    ["a", "planner"],
    ["b", "planner"],
    ["c", "writer"],
  ] as const) {
    const session = await client.sessions.create({ sessionId, agentId });
    await session.append({ role: "user", text: "hello" });
    if (sessionId === "a") await session.end();
  }
});
afterAll(async () => {
  client.close();
  await server.stop();
  await sessiond[Symbol.asyncDispose]();
});

const run = (...args: readonly string[]) =>
  sessiond.run("metrics", ...args, "--address", server.address);

describe("sessiond metrics", () => {
  it("shows a line for each agent with a bar, and all of them below", async () => {
    const { stdout, stderr, code } = await run(
      "--agent",
      "-o",
      "table",
      "--metrics",
      "sessions_total,success_rate",
    );
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^AGENT +SESSIONS TOTAL +SUCCESS RATE +SESSIONS$/);
    expect(lines[1]).toMatch(/^planner +2 +100% +\S{7}$/);
    expect(lines[2]).toMatch(/^writer +1 +- +\S{7}$/);
    expect(lines[3]).toMatch(/^all +3 +100% +\S{7}$/);
    expect(stderr).toMatch(/^\d{4}-\d\d-\d\d \d\d:00 to .* UTC\n$/);
    expect(code).toBe(0);
  });

  it("gives programs the numbers by name, and one agent alone", async () => {
    const { stdout } = await run(
      "--agent",
      "planner",
      "--metrics",
      "cost,p95_duration",
      "-o",
      "json",
    );
    const { total, groups, basis } = JSON.parse(stdout);
    expect(Object.keys(total.metrics)).toEqual(["cost", "p95_duration"]);
    expect([groups, basis]).toEqual([[], "facts"]);
  });

  it("shows the counters of one session", async () => {
    const { stdout } = await run("a", "-o", "table");
    expect(stdout).toMatch(/^messages +1$/m);
    expect(stdout).toMatch(/^tokens\.total +\d+$/m);
    expect((await run("nobody")).stderr).toContain('no session "nobody"');
  });

  it("says so when there is nothing", async () => {
    const { stdout, stderr, code } = await run(
      "--from",
      "2020-01-01",
      "--to",
      "2020-02-01",
      "-o",
      "table",
      "--metrics",
      "events",
    );
    expect(stdout).toBe("");
    expect(stderr).toContain("nothing was counted from 2020-01-01 00:00 to 2020-02-01 00:00 UTC");
    expect(code).toBe(0);
  });

  test.each([
    [["--metrics", "nonsense"], 'there is no metric "nonsense"; there are sessions_total'],
    [["--from", "yesterday"], '--from is "yesterday"; give an ISO time'],
    [["--from", "2026-01-01", "--period", "7d"], "--from and --period both say where it begins"],
    [["a", "--agent"], "--agent is for numbers over sessions"],
    [["a", "--limit", "3"], "leave out --limit or the id"],
    [["--agent", "--user"], "numbers go by one thing at a time"],
    [["--period", "900d"], "makes a period of more than 400 days"],
    [["--period", "soon"], "It must be a duration"],
    [["--by", "colour"], "Allowed choices are model, state, preset, title"],
  ])("refuses %j and says why", async (args, why) => {
    const { stderr, code, stdout } = await run(...args);
    expect(stderr).toContain(why);
    expect(code).not.toBe(0);
    expect(stdout).toBe("");
  });
});

test("counters are shown whole, and shares with four digits", () => {
  const counters = { events: 1234567, tokens: { ratio: 0.08333333333333337 }, bytes: "123456789" };
  expect(counterRows(counters)).toEqual([
    ["events", "1234567"],
    ["tokens.ratio", "0.08333"],
    ["bytes", "123456789"],
  ]);
});

describe("a sparkline", () => {
  it("has its largest number at the top, and nothing but zeros at the bottom", () => {
    expect(sparkline([0, 1, 50, 100], true)).toBe("▁▂▅█");
    expect(sparkline([0, 0], true)).toBe("▁▁");
    expect(sparkline([0, 1, 100], false)).toBe("_.#");
  });

  it("adds up neighbours where there are too many, and keeps their sum", () => {
    expect(fitted([1, 2, 3, 4, 5], 2)).toEqual([3, 12]);
    expect(fitted([1, 2, 3], 24)).toEqual([1, 2, 3]);
  });

  it("is ASCII where the locale is not UTF-8", () => {
    expect(showsUnicode({ LANG: "en_US.UTF-8" })).toBe(true);
    expect(showsUnicode({ LANG: "C.UTF-8", LC_ALL: "C" })).toBe(false);
    expect(showsUnicode({})).toBe(false);
  });
});
