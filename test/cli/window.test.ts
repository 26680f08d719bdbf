import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { widthOf } from "../../src/cli/text/width.ts";
import { validators } from "../domain/context/validators/validators.ts";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";
import { hasTmux, openTerminal, type Terminal } from "./support/terminal.ts";

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
  const turns = Array.from({ length: 30 }, (_, day) => [
    { role: "ROLE_USER", message: { text: `Which flights leave on day ${day}?` } },
    { toolCall: { callId: `c${day}`, name: "flights", arguments: `{"day": ${day}}` } },
    { toolResult: { callId: `c${day}`, content: `Flight NH${day}, \x1b[31m大阪\n`.repeat(12) } },
    { role: "ROLE_ASSISTANT", message: { text: `Take flight NH${day}.` }, author: "planner" },
  ]);
  const rule = { role: "ROLE_USER", message: { text: "Never fly via Moscow" }, kind: "constraint" };
  const first = { role: "ROLE_USER", message: { text: "I want to visit Japan" } };
  const input = [first, rule, ...turns.flat()].map((event) => JSON.stringify(event)).join("\n");
  const { code, stderr } = await sessiond.runWith(input, "append", "demo", "--json", "--create");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});
afterAll(() => sessiond[Symbol.asyncDispose]());

interface Item {
  readonly treatment: string;
  readonly tokens: number;
  readonly event: { readonly revision: number; readonly message?: { readonly text: string } };
}

describe("a window in a pipe", () => {
  test("is an item a line, as much as the budget takes", async () => {
    const items = linesOf<Item>(await sessiond.ok("window", "demo", "--budget", "1000"));
    expect(items[0]).toMatchObject({
      event: { revision: 2, message: { text: "I want to visit Japan" } },
      treatment: "TREATMENT_KEPT",
      reason: "initial_objective",
    });
    expect(items.reduce((sum, { tokens }) => sum + tokens, 0)).toBeLessThanOrEqual(1_000);
  });

  test("as json is the whole answer, with its groups when they are to be explained", async () => {
    const args = ["window", "demo", "--budget", "1000", "--reserved-output", "100", "-o", "json"];
    const answer = JSON.parse(await sessiond.ok(...args, "--explain"));
    expect(answer).toMatchObject({ tokenBudget: 1_000, reservedOutputTokens: 100 });
    expect(answer.groups[0]).toMatchObject({ firstRevision: 2, reason: "initial_objective" });
    expect(JSON.parse(await sessiond.ok(...args))).not.toHaveProperty("groups");
  });

  test("with --explain is a group a line", async () => {
    const args = ["window", "demo", "--budget", "1000", "--explain"];
    const groups = linesOf<{ firstRevision: number; treatment: string }>(
      await sessiond.ok(...args),
    );
    expect(groups[0]).toMatchObject({ firstRevision: 2, treatment: "TREATMENT_KEPT" });
    expect(groups.map(({ treatment }) => treatment)).toContain("TREATMENT_DROPPED");
  });

  test.each([
    ["openai-chat", "openai-chat"],
    ["openai-responses", "openai-responses"],
    ["anthropic", "anthropic-messages"],
    ["gemini", "gemini"],
  ] as const)(
    "with --dialect %s is what an agent sends, and Never rejected",
    async (name, rules) => {
      const args = ["window", "demo", "--budget", "1000", "--dialect", name];
      const output = await sessiond.ok(...args);
      expect(output.trimEnd().split("\n")).toHaveLength(1);
      expect(validators[rules].validate(JSON.parse(output))).toEqual([]);
      expect(await sessiond.ok(...args, "-o", "request")).toBe(output);
      const { rendered } = JSON.parse(await sessiond.ok(...args, "-o", "json"));
      expect(rendered).toEqual(JSON.parse(output));
    },
  );

  test("with a query has what it finds", async () => {
    const output = await sessiond.ok("window", "demo", "--budget", "600", "--query", "NH3");
    const found = linesOf<Item>(output).filter((item) => item.treatment === "TREATMENT_RETRIEVED");
    expect(found.map(({ event }) => event.message?.text)).toContain("Take flight NH3.");
  });

  test("as text has no colours, and nothing in it steers a terminal", async () => {
    const output = await sessiond.ok("window", "demo", "-o", "text");
    expect(output).not.toContain("\x1b");
    expect(output).toContain("\\u001b[31m大阪\\n");
    expect(output).toMatch(/^demo at revision 123: [\d,]+ of 8,000 tokens, [\d.]+%, o200k_base\n/);
  });
});

describe("a window that cannot be shown says why, and exits with", () => {
  test.each<[number, string[], RegExp]>([
    [4, ["nobody"], /^sessiond: no session "nobody"/],
    [5, ["demo", "--budget", "20"], /^sessiond: what must stay .* has \d+ tokens/],
    [5, ["demo", "--encoding", "klingon"], /^sessiond: there is no tokenizer for .*"klingon"/],
    [2, ["demo", "-o", "request"], /^sessiond: -o request needs --dialect, one of openai-chat,/],
    [2, ["demo", "--dialect", "klingon"], /^sessiond: .*Allowed choices are openai-chat,/],
    [2, ["demo", "--budget", "many"], /^sessiond: .*whole number/],
  ])("%d: %j", async (code, args, message) => {
    expect(await sessiond.run("window", ...args)).toEqual({
      code,
      stdout: "",
      stderr: expect.stringMatching(message),
    });
  });
});

test("the help of window has examples and its forms", async () => {
  const help = await sessiond.ok("window", "--help");
  expect(help).toContain("sessiond window user-42 --dialect openai-chat | jq");
  expect(help).toContain("-o request");
});

describe.runIf(hasTmux)("a window on a terminal", () => {
  let terminal: Terminal;
  beforeAll(() => {
    terminal = openTerminal(sessiond, ["sh"]);
  });
  afterAll(() => terminal[Symbol.dispose]());

  let commands = 0;
  /** What a command prints on a terminal of that width; colours are shown as `<33m`. */
  async function shown(columns: number, command: string, options = { colours: false }) {
    commands += 1;
    const clear = `clear; tmux clear-history; stty cols ${columns}`;
    terminal.type(`${clear}; ${command}; echo code $? of ${commands}`);
    await terminal.shows(new RegExp(`code 0 of ${commands}`));
    const screen = terminal.screen(options).replaceAll("\x1b[", "<");
    return screen.slice(screen.indexOf("demo at revision"), screen.lastIndexOf("code 0 of"));
  }

  test("is a bar with a legend, and the items, in colours", async () => {
    const screen = await shown(120, "sessiond window demo --budget 1000", { colours: true });
    expect(screen).toMatch(/<33m█+<36m█+<32m█+/);
    expect(screen).toMatch(/<33m█<39m protected +\d+ +\d+\.\d%/);
    expect(screen).toMatch(/<36m█<39m tool results +\d+ +\d+\.\d%/);
    expect(screen).toMatch(/ 2.* <32muser .* I want to visit Japan/);
    expect(screen).toMatch(/ 3.* <90m\[constraint\]<39m Never fly via Moscow/);
  });

  test("with NO_COLOR has a sign for each part and no colours", async () => {
    const screen = await shown(100, "NO_COLOR=1 sessiond window demo", { colours: true });
    expect(screen).toMatch(/\n@+\++\*+\.+\n@ protected/);
    expect(screen).not.toContain("<");
  });

  test.each([40, 64, 80, 200])("stays within %d columns", async (columns) => {
    const items = await shown(columns, "sessiond window demo --budget 1000");
    const bar = items.split("\n").find((line) => line.startsWith("█")) ?? "";
    expect(widthOf(bar)).toBe(columns);
    const groups = await shown(columns, "sessiond window demo --budget 1000 --explain");
    for (const line of [...items.split("\n"), ...groups.split("\n")]) {
      expect([line, widthOf(line) <= columns]).toEqual([line, true]);
    }
    expect(groups).toMatch(/REVISIONS +WHAT +TOKENS +WHY\n2 +kept +\d+ +\S+/);
    expect(groups).toMatch(/\n\d+-\d+ +dropped +[\d,]+ +older/);
  });

  test("with --dialect is drawn for that dialect", async () => {
    const text = await shown(100, "sessiond window demo --dialect openai-chat");
    expect(text).toMatch(/█ dialect +\d+/);
  });
});
