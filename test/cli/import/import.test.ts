import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linesOf, openSessiond, type Sessiond } from "../support/sessiond.ts";

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
});
afterAll(() => sessiond[Symbol.asyncDispose]());

interface Line {
  readonly sessionId: string;
  readonly event: { readonly revision: number; readonly raw?: { readonly json: string } };
}

interface Imported {
  readonly sessionId: string;
  readonly line: number;
}

/** Sessions are said when they are there, in any order. */
const byLine = (a: Imported, b: Imported) => a.line - b.line;

const file = (name: string, text: string) => writeFile(join(sessiond.folder, name), text);
const chat = ["import", "--format", "openai-chat"];
/** Spaces, numbers and escapes that would not survive parsing and writing. */
const odd = String.raw`{ "role":"user",  "content":"caf\u00e9 \/ \u2028", "seed": 1.0 }`;
const plain = '{"role":"assistant","content":"hi"}';

async function rawsOf(...args: readonly string[]) {
  const lines = linesOf<Line>(await sessiond.ok("tail", ...args));
  return lines.flatMap(({ event }) => event.raw?.json ?? []);
}

describe("a file", () => {
  test("of JSON lines with messages is a session each, kept byte for byte", async () => {
    await file(
      "runs.jsonl",
      `{"task": 7, "messages": [${odd},\t${plain}]}\n\n{"messages":[${plain}]}\n`,
    );
    const { code, stdout, stderr } = await sessiond.run(...chat, "runs.jsonl", "--label", "a=b");
    expect(code).toBe(0);
    expect(linesOf(stdout)).toEqual([
      { sessionId: "runs-1", file: "runs.jsonl", line: 1, events: 2, isNew: true },
      { sessionId: "runs-3", file: "runs.jsonl", line: 3, events: 1, isNew: true },
    ]);
    expect(stderr).toBe("imported 2 sessions, 3 events\n");
    expect(await rawsOf("--session", "runs-1")).toEqual([odd, plain]);
    expect(JSON.parse(await sessiond.ok("show", "runs-1"))).toMatchObject({
      labels: { a: "b" },
      metadata: { task: 7 },
    });
  });

  test.each([
    ["list.json", `[\n  ${odd},\n  ${plain}\n]\n`],
    ["document.json", `{\n  "messages": [\n${odd},\n${plain}]\n}`],
    ["messages.jsonl", `${odd}\n${plain}\n`],
    ["one-line.jsonl", `[${odd},${plain}]\n`],
  ])("that is one conversation is one session: %s", async (name, text) => {
    await file(name, text);
    const [result] = linesOf<{ sessionId: string }>(await sessiond.ok(...chat, name));
    expect(result?.sessionId).toBe(name.replace(/\..*/, ""));
    expect(await rawsOf("--session", result?.sessionId ?? "")).toEqual([odd, plain]);
  });

  test("goes under the names asked for", async () => {
    await file("named.jsonl", `[${plain}]\n[${plain}]\n`);
    const named = linesOf<Imported>(await sessiond.ok(...chat, "named.jsonl", "--prefix", "p/"));
    expect(named.sort(byLine)).toMatchObject([
      { sessionId: "p/named-1" },
      { sessionId: "p/named-2" },
    ]);
    expect(await sessiond.run(...chat, "named.jsonl", "--session", "one")).toMatchObject({
      code: 7,
      stderr: expect.stringContaining("named.jsonl:1: --session names one session"),
    });
  });
});

describe("stdin", () => {
  test.each([[["-"]], [[]]])("is a file of that name: import %j", async (names) => {
    const space = ["--namespace", `stdin-${names.length}`];
    const input = `[${odd}]\nnonsense\n[${plain}]\n`;
    const run = () => sessiond.runWith(input, ...chat, ...names, ...space);
    const { code, stdout, stderr } = await run();
    expect(code).toBe(7);
    expect(linesOf<Imported>(stdout).sort(byLine)).toEqual([
      { sessionId: "stdin-1", file: "stdin", line: 1, events: 1, isNew: true },
      { sessionId: "stdin-3", file: "stdin", line: 3, events: 1, isNew: true },
    ]);
    expect(stderr).toMatch(
      /^stdin:2: it is no JSON: .*\nimported 2 sessions, 2 events; 1 problems\n$/,
    );
    expect(await rawsOf("--session", "stdin-1", ...space)).toEqual([odd]);
    expect(linesOf((await run()).stdout)).toMatchObject([{ isNew: false }, { isNew: false }]);
  });

  test("that is one document over several lines goes under the id asked for", async () => {
    const args = [...chat, "--session", "piped", "-"];
    const { code, stdout } = await sessiond.runWith(`[\n${odd},\n${plain}\n]`, ...args);
    expect({ code, results: linesOf(stdout) }).toMatchObject({
      code: 0,
      results: [{ sessionId: "piped", events: 2 }],
    });
    expect(await rawsOf("--session", "piped")).toEqual([odd, plain]);
  });

  test("that is empty imports nothing", async () => {
    expect(await sessiond.runWith("", ...chat, "-")).toEqual({
      code: 0,
      stdout: "",
      stderr: "imported 0 sessions, 0 events\n",
    });
  });

  test("that is waited for is left when the command is interrupted", async () => {
    const { child, ended } = sessiond.start(...chat, "-");
    child.stdin?.write(`[${plain}]\n`, () => child.kill("SIGINT"));
    expect((await ended).stdout).toBe("");
  });
});

test("an import that is repeated, or was cut short, stores everything once", async () => {
  const session = (number: number, messages: number) => {
    const texts = Array.from({ length: messages }, (_, i) => `${number} ${i}`);
    const items = texts.map((content) => JSON.stringify({ role: "user", content }));
    return `{"messages":[${items.join(",")}]}\n`;
  };
  const space = ["--namespace", "twice"];
  // What an import leaves that ends within a session: whole batches of it, and nothing of the next.
  await file("twice.jsonl", session(1, 600) + session(2, 250));
  await sessiond.ok(...chat, "twice.jsonl", ...space);
  await file("twice.jsonl", [1, 2, 3].map((number) => session(number, 600)).join(""));
  const news: boolean[][] = [];
  for (let run = 0; run < 2; run += 1) {
    const output = await sessiond.ok(...chat, "twice.jsonl", ...space);
    const results = linesOf<Imported & { isNew: boolean }>(output);
    results.sort(byLine);
    news.push(results.map(({ isNew }) => isNew));
  }
  expect(news).toEqual([
    [false, true, true],
    [false, false, false],
  ]);
  const lines = linesOf<Line>(await sessiond.ok("tail", ...space));
  for (const id of ["twice-1", "twice-2", "twice-3"]) {
    const revisions = lines
      .filter(({ sessionId }) => sessionId === id)
      .map((l) => l.event.revision);
    expect(revisions).toEqual(Array.from({ length: 601 }, (_, i) => i + 1));
  }
});

test("lines that are wrong are named with file and line, and the others are imported", async () => {
  const wrong = '{"messages":[{"role":"robot"}]}';
  await file("mixed.jsonl", `[${plain}]\n{"messages":\n{"no":1}\n${wrong}\n[]\n[${plain}]\n`);
  const { code, stdout, stderr } = await sessiond.run(...chat, "mixed.jsonl");
  expect(code).toBe(7);
  expect(linesOf<{ line: number }>(stdout).map(({ line }) => line)).toEqual([1, 6]);
  expect(stderr).toMatch(/^mixed\.jsonl:2: it is no JSON: /m);
  expect(stderr).toMatch(
    /^mixed\.jsonl:3: it must be a list of messages, or an object with "messages"$/m,
  );
  expect(stderr).toMatch(/^mixed\.jsonl:4: role is "robot"; /m);
  expect(stderr).toMatch(/^mixed\.jsonl:5: it holds no messages$/m);
  expect(stderr).toMatch(/^imported 2 sessions, 2 events; 4 problems$/m);
});

test("a wrong message in a document over several lines is named with its own line", async () => {
  await file("lines.json", `[\n${plain},\n{"role":"robot"}\n]`);
  expect(await sessiond.run(...chat, "lines.json")).toMatchObject({
    code: 7,
    stderr: expect.stringMatching(/^lines\.json:3: role is "robot"/),
  });
});

test("a session that holds other events is left alone", async () => {
  await sessiond.ok("append", "taken", "mine", "--create");
  await file("taken.json", `[${plain}]`);
  expect(await sessiond.run(...chat, "taken.json")).toMatchObject({
    code: 7,
    stdout: "",
    stderr: expect.stringContaining('taken.json:1: session "taken" holds other events; '),
  });
});

test("a dry run needs no server and says what would be imported", async () => {
  await file("dry.jsonl", `[${plain}]\nnonsense\n`);
  const dry = await sessiond.run(...chat, "dry.jsonl", "--dry-run", "--address", "127.0.0.1:1");
  expect(dry).toMatchObject({
    code: 7,
    stderr: expect.stringMatching(
      /^dry\.jsonl:2: .*\nwould import 1 sessions, 1 events; 1 problems\n$/,
    ),
  });
  expect(linesOf(dry.stdout)).toMatchObject([{ sessionId: "dry-1", events: 1 }]);
});

test("a server that is gone ends an import with 6", async () => {
  await file("gone.jsonl", `[${plain}]\n`);
  expect(await sessiond.run(...chat, "gone.jsonl", "--address", "127.0.0.1:1")).toMatchObject({
    code: 6,
    stderr: expect.stringContaining("run the same command again"),
  });
});

test("a transcript becomes a session", async () => {
  await file("call.txt", "User: hello\nAgent: hi\nthere\n");
  await sessiond.ok("import", "--format", "transcript", "call.txt");
  const text = await sessiond.ok("tail", "--session", "call", "-o", "text");
  expect(text).toMatch(/ 2 {2}user +hello\n.* 3 {2}assistant +hi\\nthere\n$/);
});
