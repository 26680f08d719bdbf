import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { needs } from "../support/needs.ts";
import { mainFile, openSessiond, type Sessiond } from "./support/sessiond.ts";

const hasTmux = needs("tmux", () => spawnSync("tmux", ["-V"]).status === 0);

/** A shell in a real pseudo-terminal, and what its screen shows. */
interface Terminal extends Disposable {
  type(line: string): void;
  press(key: string): void;
  /** The screen with what scrolled off it; with escape sequences for colours if asked for. */
  screen(options?: { colours: boolean }): string;
  /** Resolves when the screen matches. The test's own timeout ends the wait. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
}

function openTerminal(sessiond: Sessiond, bin: string): Terminal {
  const socket = join(sessiond.folder, "tmux");
  const tmux = (...args: readonly string[]) =>
    execFileSync("tmux", ["-S", socket, ...args], { encoding: "utf8" });
  const shell = ["env", "-u", "NO_COLOR", "-u", "FORCE_COLOR", `PATH=${bin}:/usr/bin:/bin`];
  shell.push("PS1=$ ", `SESSIOND_ADDRESS=${sessiond.server.address}`, "sh");
  const size = ["-x", "120", "-y", "40"];
  const { folder } = sessiond;
  tmux("-f", "/dev/null", "new-session", "-d", ...size, "-c", folder, ...shell);
  const screen = ({ colours = false } = {}) =>
    tmux("capture-pane", "-p", "-J", "-S", "-2000", ...(colours ? ["-e"] : []));
  return {
    type: (line) => void tmux("send-keys", line, "Enter"),
    press: (key) => void tmux("send-keys", key),
    screen,
    async shows(pattern) {
      for (;;) {
        const match = pattern.exec(screen());
        if (match !== null) return match;
        // tmux has no call that waits for output; each look is a process of its own.
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    [Symbol.dispose]: () => void tmux("kill-server"),
  };
}

describe.runIf(hasTmux)("on a terminal", () => {
  let sessiond: Sessiond;
  let terminal: Terminal;
  beforeEach(async () => {
    sessiond = await openSessiond();
    const bin = join(sessiond.folder, "bin");
    await mkdir(bin);
    const command = join(bin, "sessiond");
    await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${mainFile}" "$@"\n`);
    await chmod(command, 0o755);
    terminal = openTerminal(sessiond, bin);
  });
  afterEach(async () => {
    terminal[Symbol.dispose]();
    await sessiond[Symbol.asyncDispose]();
  });

  test("sessions are a table with colours, and without them under NO_COLOR", async () => {
    await sessiond.ok("append", "user-1", "hello", "--create");
    terminal.type("sessiond sessions; echo code $?");
    await terminal.shows(/SESSION +STATE +EVENTS[\s\S]*user-1 +active +2[\s\S]*code 0/);
    expect(terminal.screen({ colours: true })).toContain("\x1b[32mactive");
    terminal.type("clear; NO_COLOR=1 sessiond sessions; echo code $?");
    await terminal.shows(/user-1 +active +2[\s\S]*code 0/);
    expect(terminal.screen({ colours: true }).split("user-1").at(-1)).not.toContain("\x1b[32m");
  });

  test("an import shows a progress bar, takes it away, and says what it did", async () => {
    const line = `${JSON.stringify([{ role: "user", content: "hello" }])}\n`;
    await writeFile(join(sessiond.folder, "runs.jsonl"), line.repeat(200));
    // What was drawn over is not on the screen any more; script keeps all that was written.
    terminal.type(
      "script -qec 'sessiond import --format openai-chat runs.jsonl' seen; echo code $?",
    );
    await terminal.shows(/imported 200 sessions, 200 events\ncode 0/);
    const seen = await readFile(join(sessiond.folder, "seen"), "utf8");
    expect(seen).toMatch(/━+.* \d+% \d+ sessions, \d+ events/);
    expect(terminal.screen()).not.toContain("━");
  });

  test("tail -f shows events as text; Ctrl+C prints the command that resumes without gap or repeat", async () => {
    await sessiond.ok("append", "live", "message 1", "--create");
    await sessiond.ok("append", "live", "\x1b[31mred\x1b[2J", "--role", "assistant");
    terminal.type("sessiond tail -f --session live; echo code $?");
    await terminal.shows(/ 2 {2}user +message 1\n.* 3 {2}assistant +\\u001b\[31mred\\u001b\[2J/);
    terminal.press("C-c");
    const [, resume = ""] = await terminal.shows(/resume with: (sessiond tail -f .*)\ncode 130/);

    await sessiond.ok("append", "live", "message 2");
    terminal.type(`clear; tmux -S ${join(sessiond.folder, "tmux")} clear-history; ${resume}`);
    await terminal.shows(/message 2/);
    await sessiond.ok("append", "live", "message 3");
    await terminal.shows(/message 3/);
    terminal.press("C-c");
    await terminal.shows(/message 3[\s\S]*resume with: /);
    const shown = [...terminal.screen().matchAll(/ (\d+) {2}user +message/g)].map(([, n]) => n);
    expect(shown).toEqual(["4", "5"]);
  });
});
