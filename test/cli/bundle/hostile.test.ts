import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Sessiond } from "../../../sdk/client/src/index.ts";
import { readTextLines } from "../../../src/bundle/read-lines.ts";
import { bundleTexts } from "../../../src/cli/bundle/export-bundle.ts";
import { importBundle } from "../../../src/cli/bundle/import-bundle.ts";
import { openTestApp, type TestApp } from "../../support/app.ts";

let app: TestApp;
/** A bundle of two sessions. Lines: 1 manifest, 2 session "one", 3 to 6 its events, 7 its end, 8 "odd". */
let bundle: string;
const signal = new AbortController().signal;

beforeAll(async () => {
  app = await openTestApp();
  await using sessiond = new Sessiond({ address: app.address });
  const one = await sessiond.sessions.create({ sessionId: "one" });
  await one.append({ role: "user", text: "to Kyoto" });
  await one.append({ role: "user", text: "only by train", kind: "constraint" });
  await one.end({ reason: "done" });
  const odd = await sessiond.sessions.create({ sessionId: "odd" });
  await odd.append({ role: "user", text: "hello" });
  const texts = bundleTexts({
    sessions: sessiond.sessions.list({ order: "oldest" }),
    namespace: "default",
    exportedAt: undefined,
    written: { sessions: 0, events: 0 },
    signal,
  });
  bundle = (await Array.fromAsync(texts)).join("");
});
afterAll(() => app[Symbol.asyncDispose]());

/** Imports a text; gives each problem with its line, and the names that are there afterwards. */
async function imported(text: string, namespace: string) {
  await using sessiond = new Sessiond({ address: app.address, namespace });
  const bytes = async function* () {
    yield Buffer.from(text);
  };
  const problems: string[] = [];
  const options = {
    onConflict: "fail",
    dryRun: false,
    keep: false,
    resume: false,
    renames: {},
    signal,
  } as const;
  try {
    for await (const { result } of importBundle(sessiond, readTextLines(bytes()), options)) {
      if (!("problem" in result)) continue;
      problems.push(`line ${result.problem.line}: ${result.problem.text}`);
    }
  } catch (error) {
    problems.push((error as Error).message);
  }
  const names: string[] = [];
  for await (const { sessionId } of sessiond.sessions.list()) names.push(sessionId);
  return { problems, names: names.sort() };
}

describe("a bundle that is wrong is named with its line, and stores nothing of what is wrong", () => {
  const lines = () => bundle.split("\n").slice(0, -1);
  const without = (index: number) => lines().filter((_, at) => at !== index);
  const swapped = (a: number, b: number) => {
    const all = lines();
    return all.map((line, at) => (at === a ? (all[b] ?? "") : at === b ? (all[a] ?? "") : line));
  };
  const changed = (pattern: RegExp | string, to: string) => bundle.replace(pattern, to).split("\n");
  // Lines: 1 manifest, 2 session "one", 3 to 6 its events, 7 its end, 8 session "odd" …
  const cases: [string, () => string[], string, string[]][] = [
    [
      "cut off inside of a line",
      () => [bundle.slice(0, bundle.indexOf('{"end"') - 40)],
      "line 6: ",
      [],
    ],
    ["cut off between lines", () => lines().slice(0, 5), "line 6: ", []],
    [
      "cut off before the summary",
      () => lines().slice(0, -1),
      "the summary is missing",
      ["odd", "one"],
    ],
    ["events in another order", () => swapped(3, 4), "line 4: ", ["odd"]],
    ["an event twice", () => [...lines().slice(0, 4), ...lines().slice(3)], "line 5: ", ["odd"]],
    ["an event missing", () => without(3), "line 4: ", ["odd"]],
    ["a session without its end", () => without(6), "line 7: ", ["odd"]],
    ["a session without its beginning", () => without(1), "line 2: ", []],
    [
      "a newer version",
      () => changed('"version":1', '"version":2'),
      "line 1: it is of version 2",
      [],
    ],
    ["no manifest", () => without(0), "a bundle begins with its manifest", []],
    ["another text", () => changed("only by train", "only by plane"), "its checksum is", ["odd"]],
    [
      "another checksum",
      () => changed(/"sha256":"[0-9a-f]{8}/, '"sha256":"00000000'),
      "its checksum is",
      ["odd"],
    ],
    [
      "other counters",
      () => changed('"messages":2', '"messages":9'),
      "its counters are not those of its log: messages",
      ["odd"],
    ],
    [
      "another turn",
      () => changed('"turn":1', '"turn":5'),
      "turn is 5, the log before it comes to 1",
      ["odd"],
    ],
    ["another group", () => changed('"group":3', '"group":2'), "group is 2", ["odd"]],
    [
      "no protection",
      () => changed('"protection":{"reason":"explicit_constraint"},', ""),
      "protection is absent",
      ["odd"],
    ],
    [
      "another end",
      () => changed('"state":"SESSION_STATE_COMPLETED"', '"state":"SESSION_STATE_FAILED"'),
      "its state is not what its log says",
      ["odd"],
    ],
    [
      "measures that cannot be",
      () => changed(/"windowTokens":\d+/, '"windowTokens":4000000000'),
      "window_tokens",
      ["odd"],
    ],
    [
      "a field of the future",
      () => changed('{"event":{', '{"event":{"mood":"sunny",'),
      "it may be from a newer version",
      ["odd"],
    ],
    [
      "a name with a line break",
      () => changed('"sessionId":"one"', '"sessionId":"../\\n/etc"'),
      "session_id",
      ["odd"],
    ],
    ["an event of no kind", () => changed('{"event":{', '{"thing":{'), 'it holds "thing"', ["odd"]],
    [
      "two things on a line",
      () => changed('{"event":{', '{"also":1,"event":{'),
      "one is expected",
      ["odd"],
    ],
    [
      "another count in the summary",
      () => changed(/"summary":\{"sessions":2/, '"summary":{"sessions":3'),
      "the summary says 3 for sessions",
      ["odd", "one"],
    ],
    [
      "something behind the summary",
      () => [...lines(), lines()[0] ?? ""],
      "something follows the summary",
      ["odd", "one"],
    ],
  ];
  test.each(cases)("%s", async (name, make, says, stored) => {
    const namespace = `wrong-${name.replaceAll(/[^a-z]/g, "-")}`;
    const { problems, names } = await imported(`${make().join("\n")}\n`, namespace);
    expect(problems.join("\n")).toContain(says);
    expect(names).toEqual(stored);
  });

  test("__proto__ is a key like any other, and paths are names", async () => {
    const text = bundle
      .replaceAll('"sessionId":"one"', '"sessionId":"../../etc/passwd"')
      .replace('{"session":{', '{"session":{"labels":{"__proto__":"x"},');
    // Labels are in the checksum.
    const proto = await imported(text, "proto");
    expect(proto.problems.join()).toContain("its checksum is");
    expect(proto.names).toEqual(["odd"]);
    expect(Object.hasOwn(Object.prototype, "x")).toBe(false);
    // The name is not: the summary has it.
    const path = await imported(
      bundle.replace('"sessionId":"one"', '"sessionId":"../../etc/passwd"'),
      "path",
    );
    expect(path.problems.join()).toContain("the summary says");
    expect(path.names).toEqual(["../../etc/passwd", "odd"]);
  });
});
