import { once } from "node:events";
import { Sessiond as Client } from "@sessiond/client";
import { type Event, Role } from "@sessiond/contract";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import {
  type Answer,
  type ChatServer,
  json,
  startChatServer,
  status,
} from "../domain/context/summarisers/chat-server.ts";
import { openSessiond, type Sessiond } from "./support/sessiond.ts";
import { begins, beginsOnly, chunk, ending, raw, streams } from "./support/streamed-answers.ts";

const key = "sk-secret-0815";

let sessiond: Sessiond;
let client: Client;
beforeAll(async () => {
  vi.stubEnv("OPENAI_API_KEY", key);
  vi.stubEnv("OPENAI_BASE_URL", "");
  sessiond = await openSessiond();
  client = new Client(sessiond.server.address);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  client.close();
  await sessiond[Symbol.asyncDispose]();
});

let user: string;
beforeEach(({ task }) => {
  user = `user of ${task.id}`;
});

/** An endpoint that gives these answers, and the words of a chat with it. */
async function open(...answers: Answer[]) {
  const server = await startChatServer(...answers);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { server, args: argsFor(server) };
}

function argsFor({ url }: ChatServer): readonly string[] {
  return ["chat", "--user", user, "--model", "small-model", "--base-url", url];
}

/** Runs a chat to its end; the key must not be in what it prints, nor in what is stored. */
async function chat(input: string, args: readonly string[]) {
  const ended = await sessiond.runWith(input, ...args);
  const stored = await storedEvents();
  const all = JSON.stringify([ended, stored], (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  expect(all).not.toMatch(/sk-secret/);
  return { ...ended, stored };
}

async function storedEvents(): Promise<Event[]> {
  const [session] = await Array.fromAsync(client.sessions.list({ userId: user }));
  if (session === undefined) return [];
  return (await Array.fromAsync(session.events())).map(({ message }) => message).slice(1);
}

test("a model answers what it sees, and what it took is kept with the answer", async () => {
  const first = streams(chunk("To "), chunk("Osaka.\u001b[2J"), ...ending());
  const { server, args } = await open(first, streams(chunk("By train."), ...ending()));
  const ended = await chat("Where to?\nHow?\n", args);
  // In a pipe an answer is data, and stays as it is.
  expect(ended).toMatchObject({ code: 0, stdout: "To Osaka.\u001b[2J\nBy train.\n" });
  expect(server.seen.map(({ authorization, body }) => [authorization, body.messages])).toEqual([
    [`Bearer ${key}`, [{ role: "user", content: "Where to?" }]],
    [
      `Bearer ${key}`,
      [
        { role: "user", content: "Where to?" },
        { role: "assistant", name: "chat", content: "To Osaka.\u001b[2J" },
        { role: "user", content: "How?" },
      ],
    ],
  ]);
  expect(ended.stored.slice(0, 3)).toMatchObject([
    { role: Role.USER },
    {
      role: Role.ASSISTANT,
      author: "chat",
      duration: {},
      usage: {
        inputTokens: 21,
        outputTokens: 7,
        cachedInputTokens: 16,
        reasoningTokens: 2,
        model: "small-model-1",
      },
    },
    { payload: { case: "requestRecorded" } },
  ]);
});

test.each([
  ["a wrong key", status(401), "HTTP status 401; look at OPENAI_API_KEY", "http_401"],
  [
    "too many requests",
    status(429, { "retry-after": "20" }),
    "HTTP status 429; too many requests, or nothing left to spend; try again in 20 s",
    "http_429",
  ],
  ["an endpoint in trouble", status(500), "it answered with HTTP status 500", "http_500"],
  ["a redirect", status(302, { location: "/x" }), "a redirect (302)", "endpoint"],
  ["garbage", raw("data: {sk-secret\n\n"), "its answer is no JSON", "endpoint"],
  ["something else", json(["sk-secret"]), "its answer is none of chat completions", "endpoint"],
  ["nothing", streams(...ending()), "the answer is empty", "empty"],
])("%s is one line and one error event, and the chat goes on", async (_, answer, line, code) => {
  const { args } = await open(answer, streams(chunk("Well."), ...ending()));
  const ended = await chat("one\ntwo\n", args);
  expect(ended).toMatchObject({ code: 7, stdout: "Well.\n" });
  const failures = ended.stderr.split("\n").filter((text) => text.startsWith("❌"));
  expect(failures).toEqual([expect.stringContaining(line)]);
  expect(ended.stored).toMatchObject([
    { payload: { value: { text: "one" } } },
    { payload: { case: "error", value: { code } } },
    { payload: { case: "requestRecorded", value: { error: { code } } } },
    { payload: { value: { text: "two" } } },
    { payload: { value: { text: "Well." } } },
    { payload: { case: "requestRecorded" } },
  ]);
});

test("an endpoint that is not there is one line as well", async () => {
  const { server, args } = await open(streams());
  await server[Symbol.asyncDispose]();
  const ended = await chat("one\n", args);
  expect(ended.code).toBe(7);
  expect(ended.stderr).toContain("❌ ");
  expect(ended.stderr).toContain("the connection to it failed (ECONNREFUSED)");
});

test("what had come of an answer that broke off is stored, and the model sees it", async () => {
  const broken = begins([chunk("To O")], (end) => setImmediate(end));
  const { server, args } = await open(broken, streams(chunk("saka."), ...ending()));
  const ended = await chat("one\ngo on\n", args);
  expect(ended).toMatchObject({ code: 7, stdout: "To O\nsaka.\n" });
  expect(ended.stderr).toContain("its answer broke off");
  expect(ended.stored[1]).toMatchObject({
    payload: { value: { text: "To O" } },
    metadata: { cut: "failed" },
  });
  expect(server.seen[1]?.body.messages).toContainEqual({
    role: "assistant",
    name: "chat",
    content: "To O",
  });
});

test("an answer that the model had to cut off is said and marked", async () => {
  const { args } = await open(streams(chunk("To Osa"), ...ending("length")));
  const ended = await chat("one\n", args);
  expect(ended.code).toBe(0);
  expect(ended.stderr).toContain("the answer was cut off where the model may write no more");
  expect(ended.stored[1]?.metadata).toEqual({ cut: "length" });
});

test("a signal ends the answer and the chat, and keeps what had come", async () => {
  const { answer, gone } = beginsOnly([chunk("To O")]);
  const { args } = await open(answer);
  const { child, says, ended } = sessiond.start(...args);
  child.stdin?.write("one\n");
  await says("To O");
  child.kill("SIGINT");
  await gone;
  expect(await ended).toMatchObject({ code: 130, stdout: "To O\n" });
  expect((await storedEvents())[1]).toMatchObject({
    payload: { value: { text: "To O" } },
    metadata: { cut: "interrupted" },
  });
});

test("a reader that goes away ends the chat", async () => {
  const many = Array.from({ length: 2_000 }, () => chunk("word ".repeat(100)));
  const { args } = await open(streams(...many, ...ending()));
  const { child, says, ended } = sessiond.start(...args);
  child.stdin?.write("one\n");
  await says("word");
  child.stdout?.destroy();
  if (child.exitCode === null) await once(child, "exit");
  expect((await ended).code).toBe(0);
});

test("the usual endpoint needs a key, and other names of it are checked", async () => {
  vi.stubEnv("OPENAI_API_KEY", "");
  onTestFinished(() => void vi.stubEnv("OPENAI_API_KEY", key));
  const ended = await sessiond.runWith("one\n", "chat", "--model", "gpt-5");
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain(
    "needs a key in OPENAI_API_KEY; --base-url names another endpoint",
  );
});
