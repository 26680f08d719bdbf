import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Sessiond as Client } from "@sessiond/client";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Answer, startChatServer } from "../domain/context/summarisers/chat-server.ts";
import { openSessiond, type Sessiond } from "./support/sessiond.ts";
import { begins, beginsOnly, chunk, ending, streams } from "./support/streamed-answers.ts";
import { hasTmux, openTerminal, type Terminal } from "./support/terminal.ts";

describe.runIf(hasTmux)("on a terminal", () => {
  let sessiond: Sessiond;
  let terminal: Terminal;
  let client: Client;
  beforeEach(async () => {
    sessiond = await openSessiond();
    terminal = openTerminal(sessiond, ["sh"]);
    client = new Client(sessiond.server.address);
  });
  afterEach(async () => {
    client.close();
    terminal[Symbol.dispose]();
    await sessiond[Symbol.asyncDispose]();
  });

  /** Begins a chat with a model that gives these answers, and waits for its prompt. */
  async function begin(answers: readonly Answer[], more = ""): Promise<void> {
    const server = await startChatServer(...answers);
    onTestFinished(() => server[Symbol.asyncDispose]());
    terminal.type(`sessiond chat --model m --base-url ${server.url} ${more}; echo code $?`);
    await terminal.shows(/Ctrl\+D leaves\.\n> $/m);
  }

  /** Texts of the messages of the only session. */
  async function texts(): Promise<string[]> {
    const [session] = await Array.fromAsync(client.sessions.list());
    const events = session === undefined ? [] : await Array.fromAsync(session.events());
    return events.filter(({ type }) => type === "message").map(({ text }) => text);
  }

  test("a session begins with the first message, and goes on after the chat was left", async () => {
    await begin([streams(chunk("To Osaka."), ...ending())], '--title "Japan trip"');
    terminal.type("Where to?");
    const [, id] = await terminal.shows(
      /> Where to\?\n🆕 New session: (session-\d{8}-\d{6}-[0-9a-f]{8})\nTo Osaka\.\n💾 Session saved \(expires in 45 min\)\n\n> $/m,
    );
    terminal.type("!sessions");
    await terminal.shows(new RegExp(`\\* +${id} +Japan trip +2 +45 min\n> $`, "m"));
    terminal.press("C-d");
    await terminal.shows(new RegExp(`go on with: sessiond chat --resume ${id} .*\ncode 0`));

    terminal.type("clear; sessiond chat --resume 'japan trip'");
    await terminal.shows(
      new RegExp(`↩️? *Resuming session: ${id} \\(2 messages\\), Japan trip\nNothing answers here`),
    );
    terminal.type("!quit");
    await terminal.shows(/go on with: /);
  });

  test("commands print what they are asked for, and one that is unknown says what there is", async () => {
    terminal.type("sessiond chat; echo code $?");
    await terminal.shows(/Ctrl\+D leaves\.\n> $/m);
    terminal.type("hello");
    const [, id] = await terminal.shows(/New session: (session-\S+)\n💾.*\n\n> $/m);
    terminal.type("!sessions");
    await terminal.shows(
      new RegExp(`SESSION +TITLE +MESSAGES +TIME LEFT\n\\* +${id} +hello +1 +45`),
    );
    terminal.type("!cache");
    await terminal.shows(/CACHE +HITS +MISSES +HIT RATE +ENTRIES +BYTES +OF AT MOST\n/);
    await terminal.shows(/heads +\d+ +\d+ +\d+\.\d% +\d+ +[\d,]+ +67,108,864\n/);
    terminal.type("!window");
    await terminal.shows(new RegExp(`${id} at revision 2: `));
    await terminal.shows(/2 {2}user +\d+ {2}hello\n/);
    terminal.type("!help");
    await terminal.shows(/!new \[TITLE\] {2}leave this session/);
    terminal.type("!toString");
    await terminal.shows(
      /no "!toString"; there are !new, !sessions, !cache, !window, !help, !quit\./,
    );
    terminal.type(" !important");
    await terminal.shows(/> +!important\n💾/);
    expect(await texts()).toEqual(["hello", "!important"]);
    terminal.type("!new Peru");
    await terminal.shows(/the next message begins a new session\n> $/m);
    terminal.type("llamas");
    await terminal.shows(/> llamas\n🆕 New session: /);
    terminal.type("!quit");
    await terminal.shows(/code 0/);
  });

  test("the line that goes on with a chat has all that a resumed one needs", async () => {
    terminal.type("sessiond chat --command cat --budget 9000 --timeout 90s --user 'a b'");
    await terminal.shows(/Ctrl\+D leaves\.\n> $/m);
    terminal.type("hello");
    await terminal.shows(/💾.*\n\n> $/m);
    terminal.type("!quit");
    const more = "--command cat --budget 9000 --timeout 90s --user 'a b'";
    await terminal.shows(new RegExp(`go on with: sessiond chat --resume \\S+ ${more}\n`));
  });

  test("an answer is shown as it comes, Ctrl+C stops it and not the chat", async () => {
    const { answer, gone } = beginsOnly([chunk("To \u001b[31mred\u001b[2J and\nthen ")]);
    await begin([answer, streams(chunk("By train."), ...ending())]);
    terminal.type("Where to?");
    await terminal.shows(/^To \\u001b\[31mred\\u001b\[2J and\nthen/m);
    terminal.press("C-c");
    await gone;
    await terminal.shows(/^then ?\nstopped; what had come of the answer is stored\n💾/m);
    terminal.type("How?");
    await terminal.shows(/^> How\?\nBy train\.\n💾/m);
    expect(await texts()).toEqual([
      "Where to?",
      "To \u001b[31mred\u001b[2J and\nthen ",
      "How?",
      "By train.",
    ]);
    terminal.press("C-c");
    await terminal.shows(/Ctrl\+C again, or Ctrl\+D, leaves\n> $/m);
    terminal.press("C-c");
    await terminal.shows(/code 0/);
  });

  test("Ctrl+C clears a line that was begun, and it is not sent", async () => {
    await begin([streams(chunk("Yes."), ...ending())]);
    terminal.write("half a thou");
    await terminal.shows(/^> half a thou$/m);
    terminal.press("C-c");
    await terminal.shows(/^> *\n> $/m);
    terminal.type("whole");
    await terminal.shows(/> whole\n🆕.*\nYes\.\n💾/);
    expect(await texts()).toEqual(["whole", "Yes."]);
  });

  test("what is typed during an answer neither stands in it nor is lost", async () => {
    const finish = Promise.withResolvers<void>();
    const slow: Answer = (response, request) => {
      begins([chunk("To ")], () =>
        finish.promise.then(() => {
          response.end(streamed(chunk("Osaka."), ...ending()));
        }),
      )(response, request);
    };
    await begin([slow, streams(chunk("By train."), ...ending())]);
    terminal.type("Where to?");
    await terminal.shows(/^To ?$/m);
    terminal.type("How?");
    terminal.write("And wh");
    await expect.poll(() => terminal.screen(), { timeout: 5_000 }).not.toContain("How?");
    finish.resolve();
    await terminal.shows(/^To Osaka\.\n💾.*\n\n> How\?\nBy train\.\n💾.*\n\n> And wh$/m);
    terminal.type("en?");
    await terminal.shows(/^> And when\?\nBy train\./m);
  });

  test("lines that are pasted together are one message", async () => {
    await begin([streams(chunk("Yes."), ...ending())]);
    terminal.write("\u001b[200~def f():\n\treturn 1\n\u001b[201~");
    await terminal.shows(/> def f\(\):\n… +return 1\n… $/m);
    terminal.type("is it right?");
    await terminal.shows(/Yes\.\n💾/);
    expect((await texts())[0]).toBe("def f():\n\treturn 1\nis it right?");
    expect(await texts()).toHaveLength(2);
  });

  test("a server that goes away is said, and the chat goes on when it is back", async () => {
    await begin([streams(chunk("Yes."), ...ending())]);
    await sessiond.server.kill("SIGKILL");
    terminal.type("one");
    await terminal.shows(/❌ no server answers at .*; start one with "sessiond"/);
    await sessiond.restart();
    terminal.type("two");
    await terminal.shows(/> two\n🆕.*\nYes\.\n💾/);
    expect(await texts()).toEqual(["two", "Yes."]);
  });

  test("colours are there, and not under NO_COLOR; into a file go the answers alone", async () => {
    await begin([streams(chunk("Yes."), ...ending())], "> answers");
    terminal.type("one");
    await terminal.shows(/> one\n🆕.*\n💾/);
    expect(terminal.screen({ colours: true })).toContain("\u001b[36m🆕");
    terminal.press("C-d");
    await terminal.shows(/code 0/);
    expect(await readFile(join(sessiond.folder, "answers"), "utf8")).toBe("Yes.\n");
    terminal.type("clear; export NO_COLOR=1; sessiond chat");
    await terminal.shows(/Ctrl\+D leaves\.\n> $/m);
    terminal.type("two");
    await terminal.shows(/> two\n🆕.*\n💾/);
    expect(terminal.screen({ colours: true })).not.toContain("\u001b[3");
  });
});

function streamed(...values: readonly object[]): string {
  return [...values.map((value) => JSON.stringify(value)), "[DONE]"]
    .map((text) => `data: ${text}\n\n`)
    .join("");
}
