import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

interface Line {
  readonly sessionId: string;
  readonly why: string;
  readonly changed: boolean;
}

let sessiond: Sessiond;
/** Each test has a namespace of its own. */
let namespace: string;
let tests = 0;

beforeAll(async () => {
  sessiond = await openSessiond();
});
beforeEach(() => {
  namespace = `n${tests++}`;
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const inNamespace = (...args: readonly string[]) => [...args, "--namespace", namespace];
const run = (...args: readonly string[]) => sessiond.run(...inNamespace(...args));
const ok = (...args: readonly string[]) => sessiond.ok(...inNamespace(...args));

async function createEach(...ids: readonly string[]): Promise<void> {
  for (const id of ids) await ok("append", id, "hello", "--create");
}

const idsOf = (output: string) => linesOf<Line>(output).map(({ sessionId }) => sessionId);

describe("cleanup", () => {
  test("prints a JSON line for each session, and counts on stderr", async () => {
    await createEach("a", "b");
    const { code, stdout, stderr } = await run("cleanup", "--idle", "0s");
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: "2 sessions ended as expired; looked at 2\n",
    });
    expect(linesOf<Line>(stdout)).toEqual([
      { sessionId: "a", why: expect.stringMatching(/^idle for \d+ m?s$/), changed: true },
      { sessionId: "b", why: expect.stringMatching(/^idle for \d+ m?s$/), changed: true },
    ]);
    expect(idsOf(await ok("sessions", "--state", "expired"))).toEqual(["b", "a"]);
    expect(await run("cleanup", "--idle", "0s")).toEqual({
      code: 0,
      stdout: "",
      stderr: "0 sessions ended as expired; looked at 0\n",
    });
  });

  test("takes only what was idle for 30 minutes when nothing is said", async () => {
    await createEach("a");
    expect(await run("cleanup")).toMatchObject({
      code: 0,
      stdout: "",
      stderr: "0 sessions ended as expired; looked at 0\n",
    });
  });

  test("with --dry-run changes nothing", async () => {
    await createEach("a");
    const args = ["--age", "0ms", "--action", "delete", "--dry-run"];
    const { stdout, stderr } = await run("cleanup", ...args);
    expect(linesOf<Line>(stdout)).toMatchObject([{ sessionId: "a", changed: false }]);
    expect(stderr).toBe("1 session would be deleted; looked at 1\n");
    expect(idsOf(await ok("sessions"))).toEqual(["a"]);
  });

  test("fails and deletes by error rate and filter", async () => {
    await createEach("a", "b");
    await ok("end", "a");
    const byRate = await run("cleanup", "--error-rate", "0.5", "--min-requests", "2");
    expect(byRate).toMatchObject({ code: 0, stdout: "" });
    const filter = 'session.messages == 1 && session.state == "active"';
    const text = await ok("cleanup", "--filter", filter, "--action", "fail", "-o", "text");
    expect(text).toBe("b: ended as failed, the filter is true\n");
    expect(idsOf(await ok("sessions", "--filter", 'session.error_code == "cleanup"'))).toEqual([
      "b",
    ]);
    const all = await ok("cleanup", "--age", "0s", "--action", "delete", "-o", "json");
    expect(JSON.parse(all)).toMatchObject([{ sessionId: "a" }, { sessionId: "b" }]);
    expect(await ok("sessions")).toBe("");
  });
});

describe("a cleanup that is wrong", () => {
  beforeAll(() => sessiond.ok("append", "a", "hello", "--create"));
  afterAll(async () => {
    expect(idsOf(await sessiond.ok("sessions", "--state", "active"))).toEqual(["a"]);
  });

  test.each<[string[], RegExp]>([
    [["--idle", "soon"], /It must be a duration such as 30s, 10m, 2h or 7d\./],
    [["--age", "-1d"], /It must be a duration/],
    [["--error-rate", "50"], /It must be a number from 0 to 1, such as 0\.5\./],
    [["--action", "burn"], /Allowed choices are expire, fail, delete\./],
    [["--min-requests", "3"], /^sessiond: min_requests: says nothing without min_error_rate/],
    [
      ["--filter", "session.evnts > 1"],
      /^sessiond: filter: does not compile at 1:8: a session has/,
    ],
    [["--filter", `${"(".repeat(99)}true${")".repeat(99)}`], /more than 32 brackets are open/],
    [
      ["--filter", "int(session.session_id) > 1", "--action", "delete"],
      /^sessiond: the filter cannot tell for session "a": .*; nothing was changed, correct the filter\n$/,
    ],
  ])("%j ends with 2", async (args, message) => {
    const { code, stdout, stderr } = await sessiond.run("cleanup", ...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });
});

describe("delete --user", () => {
  async function importFor(user: string, count: number): Promise<void> {
    const line = `${JSON.stringify([{ role: "user", content: "hello" }])}\n`;
    const args = ["--format", "openai-chat", "--user", user, "--prefix", `${user}-`];
    const input = line.repeat(count);
    const { code } = await sessiond.runWith(input, ...inNamespace("import", ...args));
    expect(code).toBe(0);
  }

  test("deletes all sessions of the user and no others", async () => {
    await importFor("ann", 12);
    await importFor("bob", 1);
    const dry = await ok("delete", "--user", "ann", "--dry-run", "-o", "text");
    expect(dry).toBe("user ann: 12 sessions would be deleted\n");
    expect(linesOf(await ok("delete", "--user", "ann"))).toEqual([
      {
        userId: "ann",
        matched: 12,
        deleted: 12,
        failed: 0,
        forkCount: 0,
        childCount: 0,
        forks: [],
      },
    ]);
    expect(idsOf(await ok("sessions"))).toHaveLength(1);
    expect(await ok("delete", "--user", "ann", "-o", "text")).toBe(
      "user ann: deleted 0 sessions\n",
    );
  });

  test.each([[["delete"]], [["delete", "a", "--user", "ann"]], [["delete", "a", "--dry-run"]]])(
    "%j ends with 2 and deletes nothing",
    async (args) => {
      await createEach("a");
      expect(await run(...args)).toMatchObject({ code: 2, stdout: "" });
      expect(idsOf(await ok("sessions"))).toEqual(["a"]);
    },
  );
});

test("the shell completes the commands and what they take", async () => {
  const complete = async (...words: readonly string[]) =>
    (await sessiond.ok("__complete", "--", ...words)).split("\n").slice(0, -1);
  expect(await complete("clea")).toEqual(["cleanup"]);
  expect(await complete("cleanup", "--action", "")).toEqual(["expire", "fail", "delete"]);
  expect(await complete("cleanup", "--er")).toEqual(["--error-rate"]);
  expect(await complete("sessions", "--fi")).toEqual(["--filter"]);
  expect(await complete("delete", "--us")).toEqual(["--user"]);
});
