import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openSessiond, type Sessiond } from "./support/sessiond.ts";
import { hasTmux, openTerminal, type Terminal } from "./support/terminal.ts";

describe.runIf(hasTmux)("on a terminal", () => {
  let sessiond: Sessiond;
  let terminal: Terminal;
  beforeEach(async () => {
    sessiond = await openSessiond();
    terminal = openTerminal(sessiond, ["sh"]);
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
    terminal.type("clear; NO_COLOR=1 sessiond sessions; echo plain $?");
    await terminal.shows(/user-1 +active +2[\s\S]*plain 0/);
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

  test("a cleanup shows how far it is, takes that away, and says which sessions and how many", async () => {
    const line = `${JSON.stringify([{ role: "user", content: "hello" }])}\n`;
    await writeFile(join(sessiond.folder, "runs.jsonl"), line.repeat(30));
    await sessiond.ok("import", "--format", "openai-chat", "runs.jsonl");
    terminal.type("script -qec 'sessiond cleanup --idle 0s --dry-run' seen; echo code $?");
    await terminal.shows(
      /runs-30: would be ended as expired, idle for .*\n30 sessions would be ended as expired; looked at 30\ncode 0/,
    );
    const seen = await readFile(join(sessiond.folder, "seen"), "utf8");
    expect(seen).toMatch(/━+.*─+.* 30 sessions, 30 match/);
    expect(seen).not.toContain("%");
    expect(terminal.screen()).not.toContain("━");
    terminal.type("clear; sessiond cleanup --filter 'session.messages == 1' --action delete");
    await terminal.shows(
      /runs-30: deleted, the filter is true\n30 sessions deleted; looked at 30\n/,
    );
  });

  test("tail -f shows events as text; Ctrl+C prints the command that resumes without gap or repeat", async () => {
    await sessiond.ok("append", "live", "message 1", "--create");
    await sessiond.ok("append", "live", "\x1b[31mred\x1b[2J", "--role", "assistant");
    terminal.type("sessiond tail -f --session live; echo code $?");
    await terminal.shows(/ 2 {2}user +message 1\n.* 3 {2}assistant +\\u001b\[31mred\\u001b\[2J/);
    terminal.press("C-c");
    const [, resume = ""] = await terminal.shows(/resume with: (sessiond tail -f .*)\ncode 130/);

    await sessiond.ok("append", "live", "message 2");
    terminal.type(`clear; tmux clear-history; ${resume}`);
    await terminal.shows(/message 2/);
    await sessiond.ok("append", "live", "message 3");
    await terminal.shows(/message 3/);
    terminal.press("C-c");
    await terminal.shows(/message 3[\s\S]*resume with: /);
    const shown = [...terminal.screen().matchAll(/ (\d+) {2}user +message/g)].map(([, n]) => n);
    expect(shown).toEqual(["4", "5"]);
  });
});
