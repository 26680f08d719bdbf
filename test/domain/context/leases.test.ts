import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { EndSessionRequestSchema, Treatment } from "@sessiond/contract";
import { expect, test } from "vitest";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import {
  call,
  compact,
  everything,
  open,
  protect,
  result,
  say,
  sessionId,
  talk,
  usages,
} from "./compaction/support.ts";

const hourMs = 60 * 60 * 1_000;

async function kinds(domain: TestDomain): Promise<(string | undefined)[]> {
  return (await domain.log(sessionId)).slice(1).map(({ payload }) => payload.case);
}

async function openCalls(domain: TestDomain): Promise<string[]> {
  const session = await domain.store.getSession({ namespace: "default", sessionId });
  return (session?.head.context?.openCalls ?? []).map(({ callId }) => callId);
}

test("an hour after a call without a result the next append closes it, in the same commit", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, userText("go"), call("a"));
  domain.now += hourMs - 1;
  await say(domain, userText("still there?"));
  expect(await openCalls(domain)).toEqual(["a"]);
  domain.now += 1;
  const answer = await domain.append({ sessionId, events: [userText("hello?")] });
  // Started, go, call, still there?, the result, hello?
  expect(answer).toMatchObject({ headRevision: 6, events: [{ revision: 6 }] });
  const log = await domain.log(sessionId);
  expect(log[4]).toMatchObject({
    group: 3,
    callRevision: 3,
    payload: {
      case: "toolResult",
      value: { callId: "a", isError: true, content: expect.stringContaining("Cancelled") },
    },
  });
  expect(await openCalls(domain)).toEqual([]);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
});

test("the policy says how long a call may stay without a result", async () => {
  await using domain = await openTestDomain();
  await open(domain, { callLease: durationFromMs(500) });
  await say(domain, call("a"));
  domain.now += 499;
  await say(domain, userText("one"));
  expect(await openCalls(domain)).toEqual(["a"]);
  domain.now += 1;
  await say(domain, userText("two"));
  expect(await openCalls(domain)).toEqual([]);
});

test("a result that comes in time to be in the append is taken, however late", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, call("a"), call("b"));
  domain.now += 2 * hourMs;
  await domain.append({ sessionId, events: [result("a", "at last"), userText("and b?")] });
  const log = await domain.log(sessionId);
  expect(log.slice(3).map(({ payload, callRevision }) => [payload.case, callRevision])).toEqual([
    ["toolResult", 3],
    ["toolResult", 2],
    ["message", 0],
  ]);
});

test("a result that comes after its call was closed answers nothing", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, call("a"));
  domain.now += hourMs;
  await say(domain, userText("go on"), result("a", "too late"));
  const log = await domain.log(sessionId);
  expect(log.at(-1)).toMatchObject({ group: 0, callRevision: 0 });
  const { items } = await domain.window(everything);
  expect(items.map(({ treatment }) => treatment)).toEqual(Array(3).fill(Treatment.KEPT));
});

test("progress and approvals are signs of life: the lease begins anew", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  const ask = { approvalId: "p", callId: "a", prompt: "May I?" };
  const signs = [
    result("a", "10 %", false),
    { payload: { case: "approvalRequest", value: ask } },
    { payload: { case: "approvalResponse", value: { approvalId: "p", approved: true } } },
  ] as const;
  await say(domain, call("a"));
  for (const sign of signs) {
    domain.now += hourMs;
    await domain.append({ sessionId, events: [sign] });
    domain.now += hourMs - 1;
    await domain.append({ sessionId, events: [userText("wait")] });
    expect(await openCalls(domain)).toEqual(["a"]);
  }
  domain.now += 1;
  await say(domain, userText("enough"));
  expect(await openCalls(domain)).toEqual([]);
});

test("of calls with one id none is closed before the newest is dead, then all are", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, call("a"), userText("again"));
  domain.now += hourMs / 2;
  await say(domain, call("a"));
  domain.now += hourMs / 2;
  await say(domain, userText("one"));
  expect(await openCalls(domain)).toEqual(["a", "a"]);
  domain.now += hourMs / 2;
  await say(domain, userText("two"));
  expect(await openCalls(domain)).toEqual([]);
});

test("an id is free for a new call in the append that closes the dead one", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, call("a"));
  domain.now += hourMs;
  await domain.append({ sessionId, events: [call("a"), result("a", "new")] });
  const log = await domain.log(sessionId);
  expect(log.slice(1).map(({ callRevision, payload }) => [payload.case, callRevision])).toEqual([
    ["toolCall", 2],
    ["toolResult", 2],
    ["toolCall", 4],
    ["toolResult", 4],
  ]);
});

test("records of the server's own close no call", async () => {
  await using domain = await openTestDomain();
  await open(domain, { compaction: { manual: true } });
  await say(domain, call("a"));
  await talk(domain, { turns: 20, tokens: 100 });
  domain.now += hourMs;
  await compact(domain);
  await protect(domain, [3]);
  await domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));
  expect((await kinds(domain)).filter((kind) => kind === "toolResult")).toEqual([]);
  expect(await openCalls(domain)).toEqual(["a"]);
});

test("Idempotent: a retried append that closed a call closes it once", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, call("a"));
  domain.now += hourMs;
  const request = { sessionId, requestId: "r", events: [userText("hello?")] };
  const first = await domain.append(request);
  expect(await domain.append(request)).toEqual(first);
  expect(await kinds(domain)).toEqual(["toolCall", "toolResult", "message"]);
});
