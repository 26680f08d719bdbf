import { spawnSync } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { completionScripts, shells } from "../../src/cli/completion-scripts.ts";
import { mainFile, openSessiond, type Sessiond } from "./support/sessiond.ts";

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
  for (const id of ["user-1", "user-2", "other one"]) {
    await sessiond.ok("append", id, "hello", "--create");
  }
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const complete = async (...words: readonly string[]) => {
  const output = await sessiond.ok("__complete", "--", ...words);
  return output.split("\n").slice(0, -1);
};

test("commands, options and their choices complete", async () => {
  expect(await complete("s")).toEqual(["serve", "sessions", "show"]);
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
  expect(await complete("tail", "-f", "--session", "")).toHaveLength(3);
  expect(await complete("delete", "user-1", "user-")).toHaveLength(2);
  expect(await complete("append", "user-1", "")).toEqual([]);
  expect(await complete("show", "--namespace", "elsewhere", "")).toEqual([]);
});

test("without a server nothing is offered, and nothing is said", async () => {
  const ended = await sessiond.run("__complete", "--", "show", "--address", "127.0.0.1:1", "");
  expect(ended).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("the scripts name the command, and bash completes an id with a space as one word", async () => {
  for (const shell of shells) {
    expect(await sessiond.ok("completion", shell)).toBe(completionScripts[shell]);
  }
  const bin = join(sessiond.folder, "bin");
  await mkdir(bin);
  const command = join(bin, "sessiond");
  await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${mainFile}" "$@"\n`);
  await chmod(command, 0o755);
  const script = `${completionScripts.bash}
COMP_WORDS=(sessiond show oth); COMP_CWORD=2; _sessiond; printf '<%s>' "\${COMPREPLY[@]}"`;
  const { PATH } = process.env;
  const { stdout, stderr } = spawnSync("bash", ["-c", script], {
    encoding: "utf8",
    env: {
      ...process.env,
      PATH: `${bin}:${PATH}`,
      SESSIOND_ADDRESS: sessiond.server.address,
    },
  });
  expect({ stdout, stderr }).toEqual({ stdout: "<other\\ one>", stderr: "" });
});
