import { expect, test } from "vitest";
import type { EventInit } from "../../support/conversations.ts";
import { openTestDomain, userText } from "../../support/domain.ts";
import {
  assistantText,
  call,
  open,
  result,
  say,
  sessionId,
  text,
  thinking,
} from "./compaction/support.ts";

/** Groups of events appended one by one, counted from the first of them, which is 1. */
async function groupsOf(...events: readonly EventInit[]): Promise<number[]> {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, ...events);
  const log = await domain.log(sessionId);
  return log.slice(1).map(({ group }) => Math.max(0, group - 1));
}

function ask(callId: string, approvalId: string): EventInit {
  const value = { callId, approvalId, prompt: "May I?" };
  return { payload: { case: "approvalRequest", value } };
}

function approve(approvalId: string): EventInit {
  return { payload: { case: "approvalResponse", value: { approvalId, approved: true } } };
}

const handoff: EventInit = { payload: { case: "handoff", value: { from: "a", to: "b" } } };

const cases: [string, EventInit[], number[]][] = [
  [
    "texts are groups of their own",
    [userText("q"), assistantText("a"), assistantText("b"), userText("q")],
    [1, 2, 3, 4],
  ],
  [
    "a response with its thinking, its text, its parallel calls and their results is one group",
    [thinking("hm"), assistantText("on it"), call("a"), call("b"), result("b"), result("a")],
    [1, 1, 1, 1, 1, 1],
  ],
  [
    "a call after a result is a new response",
    [call("a"), result("a"), call("b"), result("b")],
    [1, 1, 3, 3],
  ],
  [
    "results find the groups of their calls across other groups",
    [call("a"), userText("wait"), call("b"), result("a"), assistantText("so"), result("b")],
    [1, 2, 3, 1, 5, 3],
  ],
  [
    "progress belongs to its call and leaves it open",
    [call("a"), result("a", "10 %", false), userText("?"), result("a", "90 %", false), result("a")],
    [1, 1, 3, 1, 1],
  ],
  ["of two results the second answers nothing", [call("a"), result("a"), result("a")], [1, 1, 0]],
  ["a result without a call answers nothing", [result("x"), userText("q")], [0, 2]],
  [
    "a reused id means the call that is open",
    [call("a"), result("a"), call("a"), result("a")],
    [1, 1, 3, 3],
  ],
  [
    "of open calls with one id the newest group's is meant, then the older one",
    [call("a"), userText("q"), call("a"), result("a"), result("a")],
    [1, 2, 3, 3, 1],
  ],
  [
    "an approval belongs to the call it is about",
    [call("a"), ask("a", "p"), userText("q"), approve("p"), result("a")],
    [1, 1, 3, 1, 1],
  ],
  [
    "an approval of nothing known belongs nowhere",
    [ask("x", "p"), approve("p"), call("a"), approve("q")],
    [0, 0, 3, 0],
  ],
  ["a text after a call is a new response", [call("a"), assistantText("b"), call("c")], [1, 2, 2]],
  ["thinking after a text is a new response", [assistantText("a"), thinking("b")], [1, 2]],
  [
    "another author is another response",
    [assistantText("a", "one"), call("x", "{}", "two"), call("y", "{}", "one")],
    [1, 2, 3],
  ],
  [
    "whoever speaks on after a handoff begins a new response",
    [assistantText("a"), handoff, call("x")],
    [1, 0, 3],
  ],
  [
    "an answer to somebody else's call joins the call",
    [call("a", "{}", "one"), assistantText("hi", "two"), { ...result("a"), author: "three" }],
    [1, 2, 1],
  ],
];

test.for(cases)("%s", async ([, events, groups]) => {
  expect(await groupsOf(...events)).toEqual(groups);
});

test("a batch has the groups of the same events one by one", async () => {
  for (const [, events, groups] of cases) {
    await using domain = await openTestDomain();
    await open(domain);
    await domain.append({ sessionId, events });
    const log = await domain.log(sessionId);
    expect(log.slice(1).map(({ group }) => Math.max(0, group - 1))).toEqual(groups);
  }
});

test("a protected record between a call and its result takes nothing from their group", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  const kind = "constraint";
  const record: EventInit = { kind, payload: { case: "custom", value: { type: "x" } } };
  await say(domain, userText("begin"), { ...call("a"), kind }, record, result("a", "found"));
  // So many that the group is not read with the newest, but by its name.
  for (let index = 0; index < 200; index++) await say(domain, userText(text(10)));
  const log = await domain.log(sessionId);
  expect(log.slice(1, 5).map(({ group }) => group)).toEqual([2, 3, 4, 3]);
  const { items } = await domain.window({ sessionId, tokenBudget: 300 });
  expect(items.slice(0, 4).map(({ event }) => event?.revision)).toEqual([2, 3, 5, 4]);
});
