import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { completionScripts, type Shell, shells } from "../../src/cli/completion-scripts.ts";
import { needs } from "../support/needs.ts";
import { openSessiond, type Sessiond } from "./support/sessiond.ts";
import { hasTmux, openTerminal, type Terminal } from "./support/terminal.ts";

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
  for (const id of [
    "user-1",
    "user-2",
    "other one",
    "acct:1:chat",
    "acct:2:chat",
    "mail@example.com",
  ]) {
    await sessiond.ok("append", id, "hello", "--create");
  }
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const complete = async (...words: readonly string[]) => {
  const output = await sessiond.ok("__complete", "--", ...words);
  return output.split("\n").slice(0, -1);
};

test("commands, options and their choices complete", async () => {
  expect(await complete("ca")).toEqual(["cancel"]);
  expect(await complete("show", "--re")).toEqual(["--replay"]);
  expect(await complete("s")).toEqual(["serve", "sessions", "show", "state", "stat"]);
  expect(await complete("tail", "--un")).toEqual(["--until-ended"]);
  expect(await complete("import", "--format", "openai")).toEqual([
    "openai-chat",
    "openai-responses",
  ]);
  expect(await complete("completion", "")).toEqual([...shells]);
  expect(await complete("append", "user-1", "--role", "a")).toEqual(["assistant"]);
});

test("ids of sessions complete from the running server, where an id belongs", async () => {
  expect(await complete("show", "user-")).toEqual(["user-2", "user-1"]);
  expect(await complete("tail", "-f", "--session", "")).toHaveLength(6);
  expect(await complete("delete", "user-1", "user-")).toHaveLength(2);
  expect(await complete("chat", "--resume", "user-")).toEqual(["user-2", "user-1"]);
  expect(await complete("chat", "--resume", "--reo")).toEqual(["--reopen"]);
  expect(await complete("append", "user-1", "")).toEqual([]);
  expect(await complete("show", "--namespace", "elsewhere", "")).toEqual([]);
});

test("end, cancel and rewind offer what is active, reopen what has ended", async () => {
  const space = ["--namespace", "states"];
  for (const id of ["run-1", "run-2", "run-3"]) {
    await sessiond.ok("append", id, "hello", "--create", ...space);
  }
  await sessiond.ok("cancel", "run-2", ...space);
  expect(await complete("cancel", ...space, "run-")).toEqual(["run-3", "run-1"]);
  expect(await complete("end", ...space, "")).toEqual(["run-3", "run-1"]);
  expect(await complete("rewind", ...space, "")).toEqual(["run-3", "run-1"]);
  expect(await complete("reopen", ...space, "")).toEqual(["run-2"]);
});

test("without a server nothing is offered, and nothing is said", async () => {
  const ended = await sessiond.run("__complete", "--", "show", "--address", "127.0.0.1:1", "");
  expect(ended).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("the value of an option completes behind = as well", async () => {
  expect(await complete("import", "--format=openai-r")).toEqual(["--format=openai-responses"]);
  expect(await complete("tail", "--session=acct:1")).toEqual(["--session=acct:1:chat"]);
  expect(await complete("tail", "--full=")).toEqual([]);
});

test("the scripts are what is printed for each shell", async () => {
  for (const shell of shells) {
    expect(await sessiond.ok("completion", shell)).toBe(completionScripts[shell]);
  }
});

const interactive = {
  bash: {
    command: ["bash", "--norc", "--noprofile", "-i"],
    load: "source <(sessiond completion bash)",
  },
  zsh: {
    command: ["zsh", "-f", "-i"],
    load: "autoload -Uz compinit && compinit -u && source <(sessiond completion zsh)",
  },
  fish: { command: ["fish", "--no-config", "-i"], load: "sessiond completion fish | source" },
} satisfies Record<Shell, { command: readonly string[]; load: string }>;

describe.each(shells)("in a real %s", (shell) => {
  const isThere = hasTmux && needs(shell, () => spawnSync(shell, ["--version"]).status === 0);
  let terminal: Terminal | undefined;

  afterAll(() => terminal?.[Symbol.dispose]());

  async function loaded(): Promise<Terminal> {
    const { command, load } = interactive[shell];
    const opened = openTerminal(sessiond, command);
    opened.type(`${load}; echo rea""dy`);
    await opened.shows(/^ready$/m);
    return opened;
  }

  test.runIf(isThere).each([
    ["a command", "sessiond sess", "sessiond sessions"],
    ["a session id with a space", "sessiond show oth", String.raw`sessiond show other\ one`],
    ["a session id with colons", "sessiond show acct:1", "sessiond show acct:1:chat"],
    ["a session id with an @", "sessiond show mail@ex", "sessiond show mail@example.com"],
    ["an id behind =", "sessiond tail --session=acct:1", "sessiond tail --session=acct:1:chat"],
    ["a file where one belongs", "sessiond import runs", "sessiond import runs.jsonl"],
  ])("Tab completes %s", async (_, typed, completed) => {
    await writeFile(join(sessiond.folder, "runs.jsonl"), "");
    terminal ??= await loaded();
    terminal.write(typed);
    terminal.press("Tab");
    const escaped = completed.replaceAll(/[.*+?\\]/g, "\\$&");
    await terminal.shows(new RegExp(`${escaped} *$`, "m"));
    terminal.press("C-u");
  });
});
