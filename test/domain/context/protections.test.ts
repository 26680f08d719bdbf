import { expect, test } from "vitest";
import {
  InvalidFieldError,
  ProtectedBudgetExceededError,
  SessionEndedError,
} from "../../../src/errors.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import {
  assistantText,
  call,
  compact,
  end,
  eventBytes,
  everything,
  manual,
  open,
  protect,
  result,
  revisionsIn,
  say,
  sessionId,
  talk,
  text,
  usages,
} from "./compaction/support.ts";

async function reasons(domain: TestDomain): Promise<Map<number, string>> {
  const { items } = await domain.window(everything);
  return new Map(
    items.flatMap(({ event }) =>
      event?.protection ? [[event.revision, event.protection.reason] as const] : [],
    ),
  );
}

test("Protected: constraints survive ten compactions byte for byte", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await say(domain, userText("begin"));
  for (let round = 0; round < 10; round++) {
    await say(domain, { ...userText(`never do ${round}`), kind: "constraint" });
    await talk(domain, { turns: 10, tokens: 100, from: 10 * round });
    const { compaction } = await compact(domain, { targetRatio: 0.2 });
    expect(compaction).toBeDefined();
    const shown = (await domain.window(everything)).items.map(({ event }) =>
      event ? eventBytes(event) : "",
    );
    const constraints = (await domain.log(sessionId)).filter(({ kind }) => kind === "constraint");
    expect(constraints).toHaveLength(round + 1);
    for (const constraint of constraints) expect(shown).toContain(eventBytes(constraint));
  }
});

test("events are protected for the reason of their kind, their place or a rule of the policy", async () => {
  await using domain = await openTestDomain();
  const protectionRules = [
    { expression: "event.metadata.contains_phi == true", reason: "protected_health_info" },
  ];
  await domain.create({ session: { sessionId, contextPolicy: { protectionRules } } });
  await say(
    domain,
    userText("heal me"),
    { ...assistantText("be gentle"), kind: "constraint" },
    { ...assistantText("a cure"), kind: "goal" },
    { ...assistantText("signed in"), kind: "auth_checkpoint" },
    { ...assistantText("pressure 120"), metadata: { contains_phi: true } },
    assistantText("hello"),
  );
  expect([...(await reasons(domain))]).toEqual([
    [2, "initial_objective"],
    [3, "explicit_constraint"],
    [4, "goal"],
    [5, "auth_checkpoint"],
    [6, "protected_health_info"],
  ]);
});

test("protection is switched on and off by recorded events, whatever it came from", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, userText("begin"), assistantText("one"), assistantText("two"));
  const on = await protect(domain, [3, 4, 3], { reason: "legal_hold" });
  expect(on).toMatchObject({ revision: 5, protectedTokens: 6, protectedTokenBudget: 4_000 });
  expect([...(await reasons(domain))]).toEqual([
    [2, "initial_objective"],
    [3, "legal_hold"],
    [4, "legal_hold"],
  ]);
  expect((await domain.get(sessionId)).metrics?.protectedEvents).toBe(3);
  await protect(domain, [2, 3], { unprotect: true });
  expect([...(await reasons(domain))]).toEqual([[4, "legal_hold"]]);
  expect((await domain.get(sessionId)).metrics?.protectedEvents).toBe(1);
  await protect(domain, [2]);
  expect((await reasons(domain)).get(2)).toBe("requested");
  const log = await domain.log(sessionId);
  expect(log.slice(4).map(({ payload }) => payload.value)).toMatchObject([
    { revisions: [3, 4], reason: "legal_hold" },
    { revisions: [2, 3], reason: "" },
    { revisions: [2], reason: "requested" },
  ]);
});

test("what cannot be protected is refused, and changes nothing", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, userText("begin"));
  await expect(protect(domain, [2, 3])).rejects.toThrow("revisions[1]");
  await expect(protect(domain, [0])).rejects.toThrow(InvalidFieldError);
  await expect(protect(domain, [1])).rejects.toThrow("no window shows");
  expect(await domain.log(sessionId)).toHaveLength(2);
  await end(domain);
  await expect(protect(domain, [2])).rejects.toThrow(SessionEndedError);
});

test("protected events have a budget of their own; the way out of it is open", async () => {
  await using domain = await openTestDomain();
  await open(domain, { ...manual, protectedTokenBudget: 100 });
  await say(domain, userText(text(500)), assistantText(text(60)), assistantText(text(41)));
  expect(await protect(domain, [3])).toMatchObject({ protectedTokens: 60 });
  await expect(protect(domain, [4])).rejects.toThrow("would have 101 protected tokens");
  // Appends are not refused for it, windows are.
  const constraint = (tokens: number) => ({ ...userText(text(tokens)), kind: "constraint" });
  await say(domain, constraint(50), constraint(50));
  await expect(domain.window({ sessionId })).rejects.toThrow(ProtectedBudgetExceededError);
  expect(await protect(domain, [6], { unprotect: true })).toMatchObject({ protectedTokens: 110 });
  await expect(domain.window({ sessionId })).rejects.toThrow(ProtectedBudgetExceededError);
  await protect(domain, [3], { unprotect: true });
  expect((await domain.window({ sessionId })).tokens?.protected).toBe(550);
});

test("Protected: a protected event keeps its whole group", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await say(domain, userText("begin"), call("a"), userText("wait"), result("a", "found"));
  await protect(domain, [5]);
  await talk(domain, { turns: 20, tokens: 100 });
  await compact(domain, { targetRatio: 0.1 });
  const revisions = revisionsIn(await domain.window(everything));
  expect(revisions).toEqual(expect.arrayContaining([2, 3, 5]));
  expect(revisions).not.toContain(4);
});

test("Protected: what is covered comes back when it is protected, and leaves when it is not", async () => {
  await using domain = await openTestDomain();
  await open(domain, manual);
  await talk(domain, { turns: 20, tokens: 100 });
  await compact(domain, { targetRatio: 0.1 });
  const before = await usages(domain);
  expect(revisionsIn(await domain.window(everything))).not.toContain(6);
  const on = await protect(domain, [6, 7]);
  expect(revisionsIn(await domain.window(everything))).toEqual(expect.arrayContaining([6, 7]));
  expect(on.contextUsage?.windowTokens).toBe(before.window + 200);
  expect((await usages(domain)).window).toBe(before.window + 200);
  const off = await protect(domain, [6], { unprotect: true });
  expect(revisionsIn(await domain.window(everything))).not.toContain(6);
  expect(off.contextUsage?.windowTokens).toBe((await usages(domain)).window);
  // The next compaction leaves it out of what it covers.
  await talk(domain, { turns: 20, tokens: 100, from: 20 });
  const { compaction } = await compact(domain, { targetRatio: 0.1 });
  const isCovered = (revision: number) =>
    compaction?.covered.some(({ first, last }) => first <= revision && revision <= last);
  expect([6, 7, 8].map(isCovered)).toEqual([true, false, true]);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
});

test("Idempotent: protection that is asked for twice is switched once", async () => {
  await using domain = await openTestDomain();
  await open(domain);
  await say(domain, userText("begin"), assistantText("one"));
  const first = await protect(domain, [3], { requestId: "r" });
  expect(await protect(domain, [3], { requestId: "r" })).toEqual(first);
  expect(await domain.log(sessionId)).toHaveLength(4);
});
