import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

interface Line {
  readonly sessionId: string;
  readonly event: { readonly revision: number };
}

/** Many commands, each a process. */
const timeout = 90_000;

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const placesOf = (output: string) =>
  linesOf<Line>(output).map(({ sessionId, event }) => `${sessionId} ${event.revision}`);

describe("tail -f --consumer", () => {
  test("goes on where the name was committed, also over a restart of the server", {
    timeout,
  }, async () => {
    const space = ["--namespace", "named"];
    await sessiond.ok("append", "s", "1", "--create", ...space);
    const first = sessiond.start("tail", "-f", "--consumer", "audit", ...space);
    await first.says('"revision":2');
    first.child.kill("SIGINT");
    const { code, stdout, stderr } = await first.ended;
    expect(code).toBe(130);
    expect(placesOf(stdout)).toEqual(["s 1", "s 2"]);
    expect(stderr).toContain("resume with: sessiond tail -f --consumer audit --namespace named");

    await sessiond.restart();
    await sessiond.ok("append", "s", "2", ...space);
    const second = sessiond.start("tail", "-f", "--consumer", "audit", ...space);
    await second.says('"revision":3');
    await sessiond.restart();
    await sessiond.ok("append", "s", "3", ...space);
    await second.says('"revision":4');
    second.child.kill("SIGTERM");
    // The server was killed: what was committed within its last second may come again.
    const places = placesOf((await second.ended).stdout);
    expect(places.slice(-2)).toEqual(["s 3", "s 4"]);
  });

  test("waits while another has the name, unless it takes it over", { timeout }, async () => {
    const space = ["--namespace", "shared"];
    await sessiond.ok("append", "s", "1", "--create", ...space);
    const first = sessiond.start("tail", "-f", "--consumer", "audit", ...space);
    await first.says('"revision":2');
    const second = sessiond.start("tail", "-f", "--consumer", "audit", ...space);
    await second.warns("waiting for the name: reader ");
    const third = sessiond.start("tail", "-f", "--consumer", "audit", "--take-over", ...space);
    await first.warns("waiting for the name: reader ");
    await sessiond.ok("append", "s", "2", ...space);
    await third.says('"revision":3');
    for (const { child, ended } of [first, second, third]) {
      child.kill("SIGTERM");
      expect((await ended).code).toBe(143);
    }
  });

  test("commits what its filter and its flags leave out", async () => {
    const space = ["--namespace", "filtered"];
    const filter = ["--filter", 'event.text != "no"'];
    for (const text of ["yes", "no"]) {
      await sessiond.ok("append", "s", text, "--create", ...space);
    }
    const tail = sessiond.start("tail", "-f", "--consumer", "audit", ...filter, ...space);
    await tail.says('"revision":2');
    tail.child.kill("SIGINT");
    expect(placesOf((await tail.ended).stdout)).toEqual(["s 1", "s 2"]);
    const [consumer] = linesOf<{ filter: string }>(
      await sessiond.ok("consumers", "-o", "jsonl", ...space),
    );
    expect(consumer?.filter).toBe('event.text != "no"');
    const other = await sessiond.run(
      "tail",
      "-f",
      "--consumer",
      "audit",
      "--filter",
      "true",
      ...space,
    );
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('consumer "audit" is there with the filter');
  });

  test.each([
    [["tail", "--consumer", "audit"], "needs -f"],
    [["tail", "-f", "--take-over"], "needs --consumer"],
    [["tail", "-f", "--consumer", "sink.x"], "the server's own consumers"],
    [["tail", "-f", "--consumer", "a b"], "letters, digits"],
    [["tail", "--filter", "event."], "does not compile at 1:6"],
    [["consumers", "delete"], "name the consumers"],
    [["consumers", "remove", "x"], "Allowed choices are delete"],
  ])("%j is refused with what to do", async (words, text) => {
    const { code, stderr } = await sessiond.run(...words);
    expect(code).toBe(2);
    expect(stderr).toContain(text);
  });
});

test("tail --filter shows what matches, and ends at the end", async () => {
  const space = ["--namespace", "matching"];
  for (const text of ["yes", "no", "yes"]) {
    await sessiond.ok("append", "s", text, "--create", ...space);
  }
  const matching = ["tail", "--filter", 'event.text == "yes"', ...space];
  expect(placesOf(await sessiond.ok(...matching))).toEqual(["s 2", "s 4"]);
  expect(await sessiond.ok("tail", "--filter", "false", ...space)).toBe("");
});

test("consumers are listed with their lag, deleted, and completed", { timeout }, async () => {
  const space = ["--namespace", "listed"];
  const empty = await sessiond.run("consumers", "-o", "table", ...space);
  expect(empty).toMatchObject({ code: 0, stdout: "", stderr: "no consumers\n" });
  await sessiond.ok("append", "s", "1", "--create", ...space);
  for (const name of ["audit", "billing"]) {
    const tail = sessiond.start("tail", "-f", "--consumer", name, ...space);
    await tail.says('"revision":2');
    tail.child.kill("SIGINT");
    await tail.ended;
  }
  await sessiond.ok("append", "s", "2", ...space);
  const table = await sessiond.ok("consumers", "-o", "table", ...space);
  expect(table).toMatch(/CONSUMER +LAG +READER/);
  expect(table).toMatch(/audit +1 +nobody/);
  const complete = (...words: string[]) => sessiond.ok("__complete", "--", ...words);
  expect(await complete("tail", ...space, "--consumer", "b")).toBe("billing\n");
  expect(await complete("consumers", ...space, "")).toBe("delete\n");
  expect(await complete("consumers", "delete", ...space, "a")).toBe("audit\n");
  expect(await sessiond.ok("consumers", "delete", "audit", ...space)).toBe("audit: deleted\n");
  const { code, stderr } = await sessiond.run("consumers", "delete", "audit", ...space);
  expect([code, stderr]).toEqual([
    4,
    expect.stringContaining('no consumer "audit" in namespace "listed"'),
  ]);
  const tail = sessiond.start("tail", "-f", "--consumer", "billing", ...space);
  await tail.says('"revision":3');
  tail.child.kill("SIGINT");
  await tail.ended;
  const rest = linesOf(await sessiond.ok("consumers", "-o", "jsonl", ...space));
  expect(rest).toMatchObject([{ name: "billing", lag: 0 }]);
});
