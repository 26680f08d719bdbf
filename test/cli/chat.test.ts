import { execFileSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Sessiond as Client, type Session, type SessionQuery } from "@sessiond/client";
import { type Event, Role } from "@sessiond/contract";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openSessiond, type Sessiond } from "./support/sessiond.ts";

let sessiond: Sessiond;
let client: Client;
beforeAll(async () => {
  sessiond = await openSessiond();
  client = new Client(sessiond.server.address);
});
afterAll(async () => {
  client.close();
  await sessiond[Symbol.asyncDispose]();
});

/** Each test is a user of its own. */
let user: string;
beforeEach(({ task }) => {
  user = `user of ${task.id}`;
});

const chat = (input: string, ...args: readonly string[]) =>
  sessiond.runWith(input, "chat", "--user", user, ...args);

/** The user's sessions, newest first. */
async function sessions(query: SessionQuery = {}): Promise<Session[]> {
  return Array.fromAsync(client.sessions.list({ userId: user, ...query }));
}

/** The only session there is. */
async function onlySession(): Promise<Session> {
  const [session, ...others] = await sessions();
  expect(others).toEqual([]);
  if (session === undefined) throw new Error("there is no session");
  return session;
}

async function events(session: Session): Promise<Event[]> {
  return (await Array.fromAsync(session.events())).map(({ message }) => message);
}

/** A program that answers; `body` has the messages. */
async function program(body: string): Promise<string> {
  const file = join(sessiond.folder, "answer.mjs");
  const read = 'import { text } from "node:stream/consumers";';
  await writeFile(
    file,
    `${read}\nconst messages = JSON.parse(await text(process.stdin));\n${body}`,
  );
  return `"${process.execPath}" answer.mjs`;
}

describe("in a pipe", () => {
  test("without anything that answers it records a message a line", async () => {
    const ended = await chat("hello there\n\nwhere to?", "--agent", "notes");
    expect(ended).toMatchObject({ code: 0, stdout: "" });
    const [first] = await sessions({ agentId: "notes" });
    expect(ended.stderr).toBe(
      [
        "Nothing answers here: messages are recorded. --model asks a model, --command a program.",
        `🆕 New session: ${first?.sessionId}`,
        "💾 Session saved (expires in 45 min)",
        "💾 Session saved (expires in 45 min)",
        "",
      ].join("\n"),
    );
    expect(first?.message).toMatchObject({
      preset: "terminal",
      title: "hello there",
      metrics: { messages: 2 },
    });
    expect(first?.sessionId).toMatch(/^session-\d{8}-\d{6}-[0-9a-f]{8}$/);
  });

  test("a chat in which nothing is said leaves no session", async () => {
    expect((await chat("\n\n")).code).toBe(0);
    expect(await sessions()).toEqual([]);
  });

  test("a first message that is refused leaves no session either", async () => {
    const ended = await chat("x".repeat(1_048_570));
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/events\[0\] has \d+ bytes, the limit is 1048576/);
    expect(await sessions()).toEqual([]);
  });

  test("without a server it ends before anything is said", async () => {
    const ended = await chat("hello", "--address", "127.0.0.1:1");
    expect(ended.code).toBe(6);
    expect(ended.stderr).toContain("no server answers at 127.0.0.1:1; start one");
  });

  test("what is no UTF-8 is refused rather than stored as something else", async () => {
    const { child, ended } = sessiond.start("chat");
    child.stdin?.end(Buffer.from([0x68, 0xff, 0x0a]));
    expect(await ended).toMatchObject({ code: 2 });
    expect((await ended).stderr).toContain("stdin is not UTF-8");
  });

  test("a line that begins with ! is a message like any other", async () => {
    const ended = await chat("plain\n!important: keep\n!quit\nafter\n");
    expect(ended).toMatchObject({ code: 0, stdout: "" });
    const said = (await events(await onlySession())).flatMap(({ payload }) =>
      payload.case === "message" ? [payload.value.text] : [],
    );
    expect(said).toEqual(["plain", "!important: keep", "!quit", "after"]);
  });
});

describe("with a program", () => {
  test("it gets the window as OpenAI chat messages, and its stdout is the answer", async () => {
    const command = await program(
      'console.log(messages.length + " " + messages.at(-1).content + "\\n"); console.error("worked");',
    );
    const ended = await chat("one\ntwo\n", "--command", command, "--system", "Be short.");
    expect(ended).toMatchObject({ code: 0, stdout: "2 one\n4 two\n" });
    expect(ended.stderr).toContain("worked\n");
    const session = await onlySession();
    expect(session.message).toMatchObject({
      systemInstructions: "Be short.",
      metrics: { messages: 4, requests: { count: 2 } },
    });
    expect((await events(session)).slice(1, 4)).toMatchObject([
      { role: Role.USER, author: "", payload: { value: { text: "one" } } },
      { role: Role.ASSISTANT, author: "chat", payload: { value: { text: "2 one" } } },
      { author: "chat", payload: { case: "requestRecorded", value: { processingTime: {} } } },
    ]);
  });

  test("it knows the session and may append to it", async () => {
    const command = await program(
      "console.log(process.env.SESSIOND_SESSION_ID, process.env.SESSIOND_ADDRESS);",
    );
    const { stdout } = await chat("hello\n", "--command", command);
    const { sessionId } = await onlySession();
    expect(stdout).toBe(`${sessionId} ${sessiond.server.address}\n`);
  });

  test("one that fails is shown and recorded, with what it wrote, and the chat goes on", async () => {
    const command = await program(
      'process.stdout.write("half an"); process.exitCode = messages.length === 1 ? 3 : 0;',
    );
    const ended = await chat("one\ntwo\n", "--command", command);
    expect(ended).toMatchObject({ code: 7, stdout: "half an\nhalf an\n" });
    expect(ended.stderr).toContain("❌ the program ended with exit code 3\n💾 Session saved");
    const session = await onlySession();
    const error = { code: "exit_3", message: "the program ended with exit code 3" };
    expect((await events(session)).slice(1, 7)).toMatchObject([
      { payload: { value: { text: "one" } } },
      { payload: { value: { text: "half an" } }, metadata: { cut: "failed" } },
      { payload: { case: "error", value: error } },
      { payload: { case: "requestRecorded", value: { error } } },
      { payload: { value: { text: "two" } } },
      { payload: { value: { text: "half an" } } },
    ]);
    expect(session.message.metrics?.requests).toMatchObject({ count: 2, errors: 1 });
  });

  test("one that is not there, one that says nothing, and one that never ends fail by name", async () => {
    const failed = async (...args: readonly string[]) => (await chat("one\n", ...args)).stderr;
    expect(await failed("--command", "no-such-program-here")).toContain("exit code 127, as shells");
    expect(await failed("--command", "true")).toContain("❌ the answer is empty");
    expect(await failed("--command", "kill -9 $$")).toContain("was ended by SIGKILL");
    expect(await failed("--command", "sleep 100", "--timeout", "200ms")).toContain(
      "❌ the program said nothing for 0.2 s",
    );
  });

  test("what it leaves in the background holds up neither the answer nor the next message", async () => {
    const ended = await chat("one\ntwo\n", "--command", "sleep 300 & echo hi");
    expect(ended).toMatchObject({ code: 0, stdout: "hi\nhi\n" });
  });

  test("a signal ends it although what it left in the background ignores SIGTERM", async () => {
    const command = "(trap '' TERM; echo begun; while :; do sleep 1; done) & wait";
    const { child, says, ended } = sessiond.start("chat", "--user", user, "--command", command);
    child.stdin?.write("one\n");
    await says("begun");
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
  });
});

describe("resumed", () => {
  const title = "Japan trip";
  beforeEach(async () => {
    await chat("hello\n", "--title", title);
  });

  test.each([
    ["by its title", title],
    ["without regard to case", "japan TRIP"],
    ["by the beginning of its title", "jap"],
    ["alone: the one that was used last", undefined],
  ])("%s", async (_, name) => {
    const { sessionId } = await onlySession();
    const ended = await chat("again\n", "--resume", ...(name === undefined ? [] : [name]));
    expect(ended.stderr.split("\n")[0]).toBe(
      `↩️ Resuming session: ${sessionId} (1 message), Japan trip`,
    );
    expect((await onlySession()).message.metrics?.messages).toBe(2);
  });

  test("by its id, whoever's it is", async () => {
    const { sessionId } = await onlySession();
    const ended = await chat("again\n", "--resume", sessionId, "--user", "somebody");
    expect(ended.stderr).toContain(`Resuming session: ${sessionId} (1 message)`);
  });

  test("the one that was used last is not the one that was created last", async () => {
    const first = await onlySession();
    await chat("more\n", "--title", "newer");
    await chat("again\n", "--resume", title);
    const { stderr } = await chat("and again\n", "--resume");
    expect(stderr).toContain(`Resuming session: ${first.sessionId} (2 messages)`);
  });

  test("a title that fits several is not guessed: they are listed", async () => {
    await chat("more\n", "--title", "Japan food");
    const ended = await chat("again\n", "--resume", "japan");
    expect(ended.code).toBe(5);
    const ids = (await sessions()).map(({ sessionId }) => sessionId);
    for (const id of ids) expect(ended.stderr).toContain(`${id}  active, used `);
    expect(ended.stderr).toContain('"japan" fits 2 sessions; name one by its id\n');
    expect((await sessions()).map(({ message }) => message.metrics?.messages)).toEqual([1, 1]);
  });

  test("a title of somebody else, and one that nobody has, are not found", async () => {
    expect(await chat("again\n", "--resume", title, "--user", "nobody")).toMatchObject({ code: 4 });
    const ended = await chat("again\n", "--resume", "Peru");
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain('no session has the id "Peru"');
    expect((await chat("again\n", "--resume", "--user", "nobody")).stderr).toContain(
      'user "nobody" has no active session; "sessiond chat" begins one',
    );
  });

  test("one that has ended is named with what to do, and that works", async () => {
    const { sessionId } = await onlySession();
    await client.sessions.get(sessionId).then((session) => session.end());
    const ended = await chat("again\n", "--resume", title);
    expect(ended.code).toBe(5);
    expect(ended.stderr).toContain(
      `session "${sessionId}" (Japan trip) has ended (completed); go on with it by "sessiond chat --resume ${sessionId} --reopen"`,
    );
    const reopened = await chat("again\n", "--resume", sessionId, "--reopen");
    expect(reopened.code).toBe(0);
    expect(await onlySession()).toMatchObject({
      state: "active",
      message: { metrics: { messages: 2 } },
    });
  });

  test("an active one is preferred to those that have ended under the same title", async () => {
    const first = await onlySession();
    await first.end();
    await chat("hello\n", "--title", title);
    const { stderr } = await chat("again\n", "--resume", title);
    expect(stderr).toMatch(/Resuming session: session-\S+ \(1 message\)/);
    expect(stderr).not.toContain(first.sessionId);
  });
});

describe("in a git repository", () => {
  const git = (...args: readonly string[]) =>
    execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], {
      cwd: sessiond.folder,
      encoding: "utf8",
    });
  const commit = () => git("commit", "-q", "--allow-empty", "-m", "some");
  const head = () => git("rev-parse", "HEAD").trim();

  test("the commit is kept, and a change of it is warned of at the resume", async () => {
    git("init", "-q");
    await chat("no commit yet\n", "--title", "bare");
    expect((await onlySession()).message.fingerprint).toBe("");
    commit();
    const before = head();
    await chat("hello\n", "--title", "code");
    const [session] = await sessions();
    expect(session?.message.fingerprint).toBe(before);
    const same = await chat("again\n", "--resume", "code");
    expect(same.stderr).not.toContain("⚠️");
    commit();
    const changed = await chat("again\n", "--resume", "code");
    expect(changed.stderr).toContain(
      `⚠️ the code changed since this session began: ${before.slice(0, 7)} → ${head().slice(0, 7)}\n`,
    );
    expect((await chat("again\n", "--resume", "bare")).stderr).not.toContain("⚠️");
    await rm(join(sessiond.folder, ".git"), { recursive: true });
    expect((await chat("again\n", "--resume", "code")).stderr).not.toContain("⚠️");
  });
});

test("a session that expired meanwhile is followed by a new one, which is said", async () => {
  const args = ["--user", user, "--idle", "300ms", "--command", "cat > /dev/null; echo yes"];
  const { child, says, ended } = sessiond.start("chat", ...args);
  child.stdin?.write("one\n");
  await says("yes\n");
  await expect.poll(() => sessions({ state: "expired" }), { timeout: 20_000 }).toHaveLength(1);
  child.stdin?.write("two\n");
  await says("yes\nyes\n");
  child.stdin?.end();
  const { stderr, code } = await ended;
  expect(code).toBe(0);
  expect(stderr).toMatch(
    /💾 Session saved \(expires in 0 s\)\nthe session has expired; this message begins a new one\n🆕 New session: /,
  );
  expect(await sessions()).toHaveLength(2);
});

test("a long session is hinted at, once", async () => {
  const { stderr } = await chat(Array.from({ length: 33 }, (_, n) => `message ${n}`).join("\n"));
  expect(stderr.match(/💡.*/g)).toEqual([
    "💡 the session has 31 messages; think of starting another for a new topic",
  ]);
});

test("options that do not go together are refused with what to do", async () => {
  const refused = async (...args: readonly string[]) => {
    const { code, stderr } = await chat("", ...args);
    expect(code).toBe(2);
    return stderr;
  };
  expect(await refused("--reopen")).toContain("--reopen needs --resume");
  expect(await refused("--base-url", "http://localhost/v1")).toContain("--base-url needs --model");
  expect(await refused("--model", "m", "--base-url", "ftp://x")).toContain("must be an http");
  expect(await refused("--idle", "soon")).toContain("It must be a duration");
  expect(await refused("--command", "cat", "--base-url", "http://localhost/v1")).toContain(
    "exclude each other",
  );
});
