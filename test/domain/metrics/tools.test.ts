import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { beforeEach, expect, test } from "vitest";
import { limits } from "../../../src/limits.ts";
import type { EventInit } from "../../support/conversations.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { exported, imported } from "../bundles/support.ts";
import { assistantText, end, result, say, thinking } from "../context/compaction/support.ts";
import { rewind } from "../history/support.ts";
import { verify } from "../upkeep/support.ts";

const sessionId = "s";
let domain: TestDomain;

beforeEach(async () => {
  domain = await openTestDomain();
  await domain.create({ session: { sessionId } });
  return async () => {
    expect((await verify(domain.store)).findings).toEqual([]);
    await domain[Symbol.asyncDispose]();
  };
});

function callOf(name: string, callId: string): EventInit {
  return { payload: { case: "toolCall", value: { callId, name, arguments: "{}" } } };
}

async function metrics(namespace = "default") {
  const stored = await domain.store.getSession({ namespace, sessionId });
  return stored?.head.metrics;
}

async function tools() {
  const found = await metrics();
  return found?.tools.map(({ name, calls, results, errors, duration, averageDuration }) => ({
    ...{ name, calls, results, errors },
    ms: duration && durationMs(duration),
    averageMs: averageDuration && durationMs(averageDuration),
  }));
}

async function pass(ms: number, ...events: EventInit[]): Promise<void> {
  domain.now += ms;
  await say(domain, ...events);
}

test("calls are counted by tool, with the time to their final results", async () => {
  await say(domain, callOf("search", "1"), callOf("read", "2"));
  await pass(300, result("1", "more", false));
  await pass(700, result("1"));
  await pass(500, { payload: { case: "toolResult", value: { callId: "2", isError: true } } });
  await say(domain, callOf("search", "3"), { ...result("3"), duration: durationFromMs(4_001) });
  await say(domain, callOf("search", "4"), result("nobody's"));
  expect(await tools()).toEqual([
    { name: "search", calls: 3, results: 2, errors: 0, ms: 5_001, averageMs: 2_501 },
    { name: "read", calls: 1, results: 1, errors: 1, ms: 1_500, averageMs: 1_500 },
  ]);
});

test("steps are counted by type, tokens by event, and the time from start to end", async () => {
  const { lastActivityTime: _, ...empty } = await domain.get(sessionId);
  expect(empty.metrics?.stepsByType).toBeUndefined();
  await say(domain, userText("12345678"), thinking("a"), callOf("f", "1"), result("1", "b"));
  await pass(2_000, { payload: { case: "output", value: { text: "c" } } });
  await say(domain, { payload: { case: "error", value: { message: "d" } } }, assistantText("e"));
  const found = await domain.get(sessionId);
  expect(found.metrics?.stepsByType).toMatchObject({
    ...{ thinking: 1, toolCalls: 1, toolResults: 1, outputs: 1, errors: 1 },
  });
  const { events = 0, tokens } = found.metrics ?? {};
  expect(found.metrics?.averageTokensPerEvent).toBe((tokens?.total ?? 0) / events);
  expect(found.metrics?.duration).toEqual(durationFromMs(2_000));
  domain.now += 1_000;
  await end(domain);
  domain.now += 5_000;
  expect((await domain.get(sessionId)).metrics?.duration).toEqual(durationFromMs(3_000));
});

test("Bounded: tools beyond the limit are counted together", async () => {
  const names = Array.from({ length: limits.toolMetrics + 3 }, (_, index) => `tool ${index}`);
  const events = names.flatMap((name) => [callOf(name, name), result(name)]);
  await domain.append({ sessionId, events });
  const found = await tools();
  expect(found).toHaveLength(limits.toolMetrics + 1);
  expect(found?.at(-1)).toMatchObject({ name: "", calls: 3, results: 3 });
  await say(domain, callOf("tool 5", "again"));
  expect((await tools())?.[5]).toMatchObject({ name: "tool 5", calls: 2 });
});

test("a tool may have any name", async () => {
  await say(domain, callOf("__proto__", "1"), result("1"), callOf("constructor", "2"));
  expect(await tools()).toMatchObject([{ name: "__proto__", results: 1 }, { name: "constructor" }]);
});

test("what was counted stays counted over a rewind, and travels in a bundle", async () => {
  await say(domain, userText("go"), callOf("search", "1"));
  await pass(100, result("1"));
  await rewind(domain, { sessionId, to: { case: "revision", value: 2 } });
  await say(domain, callOf("search", "2"));
  expect(await tools()).toMatchObject([{ name: "search", calls: 2, results: 1, ms: 100 }]);
  await imported(domain, await exported(domain, sessionId), { namespace: "n" });
  expect(await metrics("n")).toEqual(await metrics());
});
