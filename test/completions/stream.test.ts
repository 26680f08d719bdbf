import { inspect } from "node:util";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { EndpointFailure } from "../../src/completions/failure.ts";
import { fixedKey } from "../../src/completions/key.ts";
import { dataOf } from "../../src/completions/server-sent-events.ts";
import { type CompletionPart, streamCompletion } from "../../src/completions/stream.ts";
import {
  begins,
  beginsOnly,
  chunk,
  ending,
  raw,
  streams,
} from "../cli/support/streamed-answers.ts";
import {
  type Answer,
  json,
  says,
  startChatServer,
  status,
} from "../domain/context/summarisers/chat-server.ts";

const key = "sk-secret-0815";
const messages = [{ role: "user", content: "Where to?" }];

async function start(answer: Answer, { silentMs = 10_000 } = {}) {
  const server = await startChatServer(answer);
  onTestFinished(() => server[Symbol.asyncDispose]());
  const stop = new AbortController();
  const endpoint = { url: server.url, model: "small-model", key: fixedKey(key) };
  const { signal } = stop;
  const parts = () => streamCompletion(endpoint, { messages, silentMs, signal });
  return { server, parts, stop };
}

async function all(parts: AsyncIterable<CompletionPart>): Promise<CompletionPart[]> {
  return Array.fromAsync(parts);
}

/** How it failed, and what came before. The key must not be anywhere in it. */
async function failure(answer: Answer, options = {}) {
  const { parts } = await start(answer, options);
  let text = "";
  try {
    for await (const part of parts()) text += "text" in part ? part.text : "";
  } catch (error) {
    if (!(error instanceof EndpointFailure)) throw error;
    expect(inspect(error, { depth: 20, showHidden: true })).not.toMatch(/sk-secret/);
    return { text, why: error.message };
  }
  throw new Error(`it did not fail, but gave "${text}"`);
}

test("an answer comes in pieces, with what it took and why it ended", async () => {
  const { server, parts } = await start(streams(chunk("To "), chunk("Osaka."), ...ending()));
  expect(await all(parts())).toEqual([
    { text: "To " },
    { text: "Osaka." },
    { finish: "stop" },
    {
      usage: {
        inputTokens: 21,
        outputTokens: 7,
        cachedInputTokens: 16,
        reasoningTokens: 2,
        model: "small-model-1",
      },
    },
  ]);
  const [seen] = server.seen;
  expect(seen).toMatchObject({
    url: "POST /v1/chat/completions",
    authorization: `Bearer ${key}`,
    body: { model: "small-model", messages, stream: true },
  });
});

test("a piece is there before the next one is sent", async () => {
  const { answer, gone } = beginsOnly([chunk("To ")]);
  const { parts, stop } = await start(answer);
  const iterator = parts();
  expect((await iterator.next()).value).toEqual({ text: "To " });
  stop.abort();
  await expect(iterator.next()).rejects.toBe(stop.signal.reason);
  await gone;
});

test("an answer in one piece is understood as well", async () => {
  const { parts } = await start(says("To Osaka."));
  expect(await all(parts())).toEqual([{ text: "To Osaka." }, { finish: "stop" }]);
});

test("an answer that breaks off, with or without its connection, fails behind what came", async () => {
  const answered = { text: "To ", why: "its answer broke off" };
  expect(await failure(raw(`data: ${JSON.stringify(chunk("To "))}\n\n`))).toEqual(answered);
  const destroyed = begins([chunk("To ")], (end) => setImmediate(end));
  expect((await failure(destroyed)).why).toBe("its answer broke off");
});

test("what is no answer fails by name, and nothing of it is quoted", async () => {
  const why = async (answer: Answer) => (await failure(answer)).why;
  expect(await why(status(401))).toBe("it answered with HTTP status 401");
  expect(await why(status(500))).toBe("it answered with HTTP status 500");
  expect(await why(status(302, { location: "/elsewhere" }))).toContain("a redirect (302)");
  expect(await why(raw("data: {sk-secret\n\n"))).toBe("its answer is no JSON");
  expect(await why(raw('data: {"error":{"message":"sk-secret"}}\n\n'))).toBe(
    "it gave an error instead of an answer",
  );
  expect(await why(raw('data: {"hello":1}\n\n'))).toBe("its answer is none of chat completions");
  expect(await why(json(["sk-secret"]))).toBe("its answer is none of chat completions");
  expect(await why(raw(`data: ${"x".repeat(2_000_000)}`))).toContain("a line of more than");
  expect(await why(raw("<html>"))).toBe("its answer broke off");
});

test("an endpoint that falls silent is given up", async () => {
  const { answer, gone } = beginsOnly([chunk("To ")]);
  expect(await failure(answer, { silentMs: 200 })).toEqual({
    text: "To ",
    why: "it said nothing for 0.2 s",
  });
  await gone;
});

test("server-sent events are the same wherever they are cut", async () => {
  const line = fc.string({ unit: "grapheme" }).map((text) => text.replace(/[\r\n]/g, ""));
  const events = fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { maxLength: 5 });
  const lineEnd = fc.constantFrom("\n", "\r\n", "\r");
  const cuts = fc.array(fc.nat({ max: 200 }));
  await fc.assert(
    fc.asyncProperty(events, lineEnd, cuts, async (given, end, places) => {
      const lines = given.flatMap((data) => [
        ": comment",
        "event: some",
        ...data.map((text) => `data: ${text}`),
        "",
      ]);
      const bytes = Buffer.from(
        lines
          .map((text) => text + end)
          .join("")
          .toWellFormed(),
      );
      const sorted = [0, ...places.toSorted((a, b) => a - b), bytes.length];
      const chunks = sorted.slice(1).map((to, index) => bytes.subarray(sorted[index], to));
      const read = await Array.fromAsync(dataOf(iterated(chunks), 10_000));
      expect(read).toEqual(given.map((data) => data.join("\n").toWellFormed()));
    }),
  );
});

async function* iterated<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
