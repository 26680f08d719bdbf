import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linesOf, mainFile, openSessiond, type Sessiond } from "./support/sessiond.ts";

interface Line {
  readonly sessionId: string;
  readonly cursor: string;
  readonly event: { readonly revision: number; readonly message?: { readonly text: string } };
}

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const textsOf = (output: string) =>
  linesOf<Line>(output).flatMap(({ event }) => event.message?.text ?? []);

describe("append", () => {
  test("stores a message and prints what the server made of it", async () => {
    const output = await sessiond.ok("append", "append-1", "hello", "--create");
    expect(linesOf(output)).toMatchObject([
      { headRevision: 2, durability: "DURABILITY_SYNCED", events: [{ revision: 2 }] },
    ]);
    expect(await sessiond.ok("append", "append-1", "more", "-o", "text")).toBe(
      "append-1: revision 3, 1 tokens, durable\n",
    );
  });

  test("takes its text from stdin, and events as JSON lines in one batch", async () => {
    await sessiond.runWith("from stdin\n", "append", "append-2", "--create");
    const call = { toolCall: { callId: "c1", name: "flights", arguments: "{}" } };
    const result = { toolResult: { callId: "c1", content: "3 flights" } };
    const input = `${JSON.stringify(call)}\n\n${JSON.stringify(result)}\n`;
    const { code, stdout } = await sessiond.runWith(input, "append", "append-2", "--json");
    expect({ code, answer: linesOf(stdout) }).toMatchObject({
      code: 0,
      answer: [{ headRevision: 4 }],
    });
    expect(textsOf(await sessiond.ok("tail", "--session", "append-2"))).toEqual(["from stdin\n"]);
  });

  test("of text that is not UTF-8 stores nothing", async () => {
    const { child, ended } = sessiond.start("append", "append-2");
    child.stdin?.end(Buffer.from([0x63, 0x61, 0x66, 0xe9]));
    expect(await ended).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringMatching(/^sessiond: stdin is not UTF-8; /),
    });
  });

  test("of events that are none names the line and stores nothing", async () => {
    const input = '{"message":{"text":"a"}}\n{"massage":{}}\n';
    const { code, stdout, stderr } = await sessiond.runWith(input, "append", "append-1", "--json");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^sessiond: stdin:2 is no event: .*massage/);
  });

  test("with a request id has one effect when it is repeated", async () => {
    const args = ["append", "append-3", "once", "--request-id", "r1"];
    await sessiond.ok("append", "append-3", "first", "--create");
    expect(await sessiond.ok(...args)).toBe(await sessiond.ok(...args));
    expect(textsOf(await sessiond.ok("tail", "--session", "append-3"))).toEqual(["first", "once"]);
  });
});

describe("exit codes tell", () => {
  test("that there is no such session: 4", async () => {
    for (const args of [
      ["show", "nobody"],
      ["show", "nobody", "--replay"],
      ["show", "nobody", "--steps"],
      ["state", "nobody"],
      ["end", "nobody"],
      ["cancel", "nobody"],
      ["reopen", "nobody"],
      ["delete", "nobody"],
    ]) {
      const { code, stdout, stderr } = await sessiond.run(...args);
      expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
      expect(stderr).toBe(
        'sessiond: no session "nobody" in namespace "default"; "sessiond sessions" lists those there are, "sessiond append --create" makes one\n',
      );
    }
  });

  test("that the server refused: 5", async () => {
    await sessiond.ok("append", "ended", "hello", "--create");
    await sessiond.ok("end", "ended", "--state", "failed", "--error-code", "tool");
    expect(await sessiond.run("append", "ended", "more")).toMatchObject({ code: 5 });
    await sessiond.ok("append", "raced", "hello", "--create");
    const raced = await sessiond.run("append", "raced", "more", "--expected-revision", "1");
    expect(raced).toMatchObject({ code: 5, stderr: expect.stringMatching(/is at 2/) });
  });

  test("that no server answers: 6, with what to do", async () => {
    const port = await freePort();
    const { code, stderr } = await sessiond.run("sessions", "--address", `127.0.0.1:${port}`);
    expect(code).toBe(6);
    expect(stderr).toBe(
      `sessiond: no server answers at 127.0.0.1:${port}; start one with "sessiond", or name another with --address or SESSIOND_ADDRESS\n`,
    );
  });

  test.each([
    ["tail", "--until-ended"],
    ["tail", "--since", "yesterday"],
    ["sessions", "--state", "tired"],
    ["sessions", "--label", "team"],
    ["show"],
    ["cancel"],
    ["state", "x", "theme"],
    ["state", "x", "n:=1,"],
    ["state", "x", "n=1", "--remove", "n"],
    ["show", "x", "--address", "nowhere"],
    ["show", "x", "--speed", "4"],
    ["show", "x", "--max-pause", "1s"],
    ["show", "x", "--replay", "--speed", "0"],
    ["show", "x", "--replay", "--speed", "-1"],
    ["show", "x", "--replay", "--speed", "fast"],
    ["show", "x", "--replay", "--max-pause", "5"],
    ["import", "runs.jsonl"],
    ["import", "--format", "openai-chat", "missing.jsonl"],
  ])("that the command line is wrong: 2 (%s %s)", async (...args) => {
    const { code, stdout, stderr } = await sessiond.run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^sessiond: \S[^\n]*\n$/);
  });
});

describe("sessions", () => {
  test("lists JSON lines in a pipe, filtered by state, and as a table when asked for", async () => {
    await sessiond.ok("append", "listed", "hello", "--create", "--namespace", "lists");
    await sessiond.ok("append", "gone", "hello", "--create", "--namespace", "lists");
    await sessiond.ok("end", "gone", "--namespace", "lists");
    const active = await sessiond.ok("sessions", "--state", "active", "--namespace", "lists");
    expect(linesOf(active)).toMatchObject([{ sessionId: "listed", state: "SESSION_STATE_ACTIVE" }]);
    const table = await sessiond.ok("sessions", "-o", "table", "--namespace", "lists");
    expect(table).toMatch(/^SESSION +STATE +EVENTS .*\ngone +completed +3 .*\nlisted +active +2 /);
    const array = await sessiond.ok("sessions", "-o", "json", "--namespace", "lists");
    expect(JSON.parse(array)).toHaveLength(2);
    const none = await sessiond.ok("sessions", "-o", "json", "--namespace", "empty");
    expect(JSON.parse(none)).toEqual([]);
  });

  test("of a limit stops there and says that there are more", async () => {
    for (const id of ["a", "b", "c"]) {
      await sessiond.ok("append", id, "hello", "--create", "--namespace", "many");
    }
    const args = ["sessions", "-o", "table", "--namespace", "many", "--limit"];
    expect(await sessiond.run(...args, "2")).toMatchObject({
      stdout: expect.stringMatching(/\nc .*\nb .*\n$/),
      stderr: "the newest 2; there are more, see --limit\n",
    });
    expect(await sessiond.run(...args, "3")).toMatchObject({ stderr: "" });
  });
});

test("end says of a session that had ended that nothing was changed", async () => {
  await sessiond.ok("append", "over", "hello", "--create");
  expect(await sessiond.ok("end", "over", "-o", "text")).toBe("over: completed, 3 events\n");
  expect(await sessiond.ok("end", "over", "-o", "text", "--state", "failed")).toBe(
    "over: completed, 3 events; it had ended before, nothing was changed\n",
  );
});

test("cancel ends a session with its reason, reopen opens it again, and both only once", async () => {
  await sessiond.ok("append", "left", "hello", "--create");
  const cancel = ["cancel", "left", "--reason", "the user left", "-o", "text"];
  expect(await sessiond.ok(...cancel)).toBe("left: cancelled, 3 events\n");
  expect(await sessiond.ok(...cancel)).toBe(
    "left: cancelled, 3 events; it had ended before, nothing was changed\n",
  );
  expect(JSON.parse(await sessiond.ok("show", "left"))).toMatchObject({
    state: "SESSION_STATE_CANCELLED",
    end: { reason: "the user left" },
  });
  const reopen = ["reopen", "left", "--reason", "one more question"];
  expect(linesOf(await sessiond.ok(...reopen))).toMatchObject([
    { sessionId: "left", state: "SESSION_STATE_ACTIVE", headRevision: 4 },
  ]);
  expect(await sessiond.ok(...reopen, "-o", "text")).toBe(
    "left: active, 4 events; it had not ended, nothing was changed\n",
  );
  const tail = linesOf<Line>(await sessiond.ok("tail", "--session", "left"));
  expect(tail.at(-1)?.event).toMatchObject({
    sessionReopened: { from: "SESSION_STATE_CANCELLED", reason: "one more question" },
  });
});

test("show prints a session, and delete takes it away", async () => {
  await sessiond.ok("append", "shown", "hello", "--create");
  expect(await sessiond.ok("show", "shown", "-o", "text")).toMatch(/^state +active$/m);
  expect(JSON.parse(await sessiond.ok("show", "shown"))).toMatchObject({ headRevision: 2 });
  expect(linesOf(await sessiond.ok("delete", "shown"))).toEqual([
    { sessionId: "shown", deleted: true, childCount: 0 },
  ]);
  expect(linesOf(await sessiond.ok("delete", "shown", "--allow-missing"))).toEqual([
    { sessionId: "shown", deleted: false, childCount: 0 },
  ]);
});

test("state prints the state of a session, and changes it whole or not at all", async () => {
  await sessiond.ok("append", "stateful", "hello", "--create");
  const set = ["theme=dark=er", "app:day:=5", 'list:=["a",null]', "temp:otp=1", "draft=x"];
  const all = { theme: "dark=er", "app:day": 5, list: ["a", null], "temp:otp": "1", draft: "x" };
  expect(JSON.parse(await sessiond.ok("state", "stateful", ...set))).toEqual(all);
  const removed = ["--remove", "draft", "--remove", "theme", "odd=\x1b[2J\u202e"];
  await sessiond.ok("state", "stateful", ...removed);
  const refused = await sessiond.run("state", "stateful", "list:=1", "App:day=6");
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('written "app:"') });
  expect(await sessiond.ok("state", "stateful", "-o", "text")).toBe(
    'app:day 5\nlist ["a",null]\nodd "\\u001b[2J\\u202e"\n',
  );
  await sessiond.ok("end", "stateful");
  expect(await sessiond.run("state", "stateful", "a=1")).toMatchObject({ code: 5 });
});

test("text of unknown origin cannot steer a terminal", async () => {
  await sessiond.ok("append", "evil", "\x1b[2Jgone\r\u009b31m\u202e\nline", "--create");
  const text = await sessiond.ok("tail", "--session", "evil", "-o", "text");
  expect(text).toContain("\\u001b[2Jgone\\r\\u009b31m\\u202e\\nline");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: there must be none.
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
});

test("a reader that goes away ends a command quietly", async () => {
  const input = Array.from({ length: 900 }, (_, i) =>
    JSON.stringify({ message: { text: `${i} ${"x".repeat(2_000)}` }, role: "ROLE_USER" }),
  );
  await sessiond.ok("append", "long", "hello", "--create");
  await sessiond.runWith(input.join("\n"), "append", "long", "--json");
  const pipeline = 'set -o pipefail; "$0" "$1" tail --session long | head -n 2';
  const child = spawn("bash", ["-c", pipeline, process.execPath, mainFile], {
    env: { ...process.env, SESSIOND_ADDRESS: sessiond.server.address },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(linesOf<Line>(stdout).map(({ event }) => event.revision)).toEqual([1, 2]);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
