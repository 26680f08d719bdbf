import { create } from "@bufbuild/protobuf";
import {
  CompactionStrategy,
  CompactSessionRequestSchema,
  Dialect,
  type GetContextWindowResponse,
  Role,
  Treatment,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  ContextTooLongError,
  InvalidFieldError,
  NotSupportedError,
  ProtectedBudgetExceededError,
} from "../../../src/errors.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";

const sessionId = "s";

function said(author: string, text: string) {
  return { role: Role.ASSISTANT, author, payload: { case: "message", value: { text } } } as const;
}

function call(author: string, callId: string, name = "search") {
  const value = { callId, name, arguments: "{}" };
  return { role: Role.ASSISTANT, author, payload: { case: "toolCall", value } } as const;
}

function result(callId: string, content: string) {
  return { payload: { case: "toolResult", value: { callId, content } } } as const;
}

/** What a window says, a line an item. */
function linesOf({ items }: GetContextWindowResponse): string[] {
  return items.map(({ event }) => {
    const payload = event?.payload;
    switch (payload?.case) {
      case "message":
        return `${Role[event?.role ?? 0]} ${payload.value.text}`;
      case "toolCall":
        return `call ${payload.value.name}`;
      case "toolResult":
        return `result ${payload.value.content}`;
      default:
        return payload?.case ?? "";
    }
  });
}

describe("two agents on one session", () => {
  async function talk(domain: TestDomain): Promise<void> {
    await domain.append({
      sessionId,
      createIfMissing: true,
      events: [
        userText("Where to?"),
        said("planner", "Osaka"),
        call("booker", "c1"),
        result("c1", "2 flights"),
      ],
    });
  }

  test("shared: what another agent said is labelled, and its own words stay its own", async () => {
    await using domain = await openTestDomain();
    await talk(domain);
    const planner = linesOf(await domain.window({ sessionId, agent: "planner" }));
    expect(planner.slice(0, 2)).toEqual(["USER Where to?", "ASSISTANT Osaka"]);
    expect(planner.slice(2).every((line) => line.startsWith("USER [booker]"))).toBe(true);
    const booker = linesOf(await domain.window({ sessionId, agent: "booker" }));
    expect(booker[1]).toMatch(/^USER \[planner\].*Osaka/);
    expect(booker.slice(2)).toEqual(["call search", "result 2 flights"]);
  });

  test("isolated: an agent's window has its own events and the user's", async () => {
    await using domain = await openTestDomain();
    await talk(domain);
    const window = await domain.window({ sessionId, authors: ["planner"] });
    expect(linesOf(window)).toEqual(["USER Where to?", "ASSISTANT Osaka"]);
  });

  test("without an agent everything agents said is the model's own", async () => {
    await using domain = await openTestDomain();
    await talk(domain);
    const lines = linesOf(await domain.window({ sessionId }));
    expect(lines).toEqual(["USER Where to?", "ASSISTANT Osaka", "call search", "result 2 flights"]);
  });
});

describe("what a request asks for", () => {
  test("rules of a request protect what was appended before", async () => {
    await using domain = await openTestDomain();
    await domain.append({ sessionId, createIfMissing: true, events: [userText("hello")] });
    await domain.append({ sessionId, events: [said("a", "the secret is 7")] });
    for (let turn = 0; turn < 20; turn++) {
      await domain.append({ sessionId, events: [userText("x".repeat(100))] });
    }
    const ask = { sessionId, tokenBudget: 500 };
    expect(linesOf(await domain.window(ask))).not.toContain("ASSISTANT the secret is 7");
    const protectionRules = [{ expression: 'event.text.contains("secret")', reason: "secret" }];
    const window = await domain.window({ ...ask, policy: { protectionRules } });
    expect(linesOf(window)).toContain("ASSISTANT the secret is 7");
    expect(window.items.find(({ reason }) => reason === "secret")?.treatment).toBe(Treatment.KEPT);
  });

  test("a rule that does not compile is answered with its position and changes nothing", async () => {
    await using domain = await openTestDomain();
    const protectionRules = [{ expression: "event.text ==", reason: "broken" }];
    const session = { sessionId, contextPolicy: { protectionRules } };
    const wrong = /protection_rules\[0\]\.expression: does not compile at 1:\d+/;
    await expect(domain.create({ session })).rejects.toThrow(wrong);
    await domain.create({ session: { sessionId } });
    const asked = domain.window({ sessionId, policy: { protectionRules } });
    await expect(asked).rejects.toThrow(wrong);
    expect((await domain.get(sessionId)).contextPolicy).toBeUndefined();
  });

  test("older events come back by their words, also those a compaction covers", async () => {
    await using domain = await openTestDomain();
    const compaction = { manual: true, strategy: CompactionStrategy.DROP };
    await domain.create({ session: { sessionId, contextPolicy: { compaction } } });
    await domain.append({ sessionId, events: [userText("begin")] });
    await domain.append({ sessionId, events: [said("a", "the ryokan in Hakone is called Gora")] });
    for (let turn = 0; turn < 30; turn++) {
      await domain.append({ sessionId, events: [userText(`nothing of interest, part ${turn}`)] });
    }
    const request = create(CompactSessionRequestSchema, { sessionId, targetRatio: 0.05 });
    await domain.compactions.compact(request, new AbortController().signal);
    const hidden = linesOf(await domain.window({ sessionId }));
    expect(hidden).not.toContain("ASSISTANT the ryokan in Hakone is called Gora");
    const window = await domain.window({ sessionId, query: "name of the ryokan" });
    expect(linesOf(window)).toContain("ASSISTANT the ryokan in Hakone is called Gora");
    const retrieved = window.items.filter(({ treatment }) => treatment === Treatment.RETRIEVED);
    expect(retrieved.some(({ reason }) => reason === "query")).toBe(true);
  });

  test("a session's max_history and a policy's max_turns leave older messages out", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, limits: { maxHistory: 4 } } });
    for (let turn = 0; turn < 6; turn++) {
      await domain.append({ sessionId, events: [userText(`q${turn}`), said("a", `a${turn}`)] });
    }
    // The first user message is protected.
    expect(linesOf(await domain.window({ sessionId }))).toEqual(
      ["q0", "q4", "a4", "q5", "a5"].map((text) =>
        text.startsWith("q") ? `USER ${text}` : `ASSISTANT ${text}`,
      ),
    );
    const window = await domain.window({ sessionId, policy: { maxTurns: 1 } });
    expect(linesOf(window)).toEqual(["USER q0", "USER q5", "ASSISTANT a5"]);
  });

  test("a prefix that changed says what changed it", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, systemInstructions: "Be kind." } });
    await domain.append({ sessionId, events: [userText("hello")] });
    const { prefixHash } = await domain.window({ sessionId });
    const ask = { sessionId, knownPrefixHash: prefixHash };
    await domain.append({ sessionId, events: [said("a", "hi")] });
    expect(await domain.window(ask)).toMatchObject({ prefixChanged: false, prefixHash });
    expect(await domain.window({ ...ask, dialect: Dialect.GEMINI })).toMatchObject({
      prefixChanged: true,
      prefixChangeReason: "request",
    });
  });
});

describe("a prefix hash", () => {
  test.each([
    ["newest turns", { maxTurns: 2 }, {}],
    ["newest messages", {}, { maxHistory: 3 }],
  ])("changes when the %s move on", async (_, contextPolicy, limits) => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, contextPolicy, limits } });
    await expectHonest(domain, 12, (turn) => [userText(`q${turn}`), said("a", `a${turn}`)]);
  });

  test("changes when only what must stay fits", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, contextPolicy: { tokenBudget: 150 } } });
    await expectHonest(domain, 8, (turn) => [userText(`q${turn}`), said("a", "x".repeat(100))]);
  });

  test("changes when what stands for a result does, or another call joins it", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    const progress = (content: string) => ({
      payload: { case: "toolResult", value: { callId: "c", content, isFinal: false } },
    });
    const steps = [
      [userText("hello"), call("a", "c")],
      [progress("10 %")],
      [progress("20 %")],
      [result("c", "done")],
      [call("a", "d")],
      [call("a", "e"), result("e", "first")],
      [result("d", "second")],
    ] as const;
    await expectHonest(domain, steps.length, (step) => [...(steps[step] ?? [])] as never[]);
  });

  /** As long as the hash stays, the newer window begins with the whole older one. */
  async function expectHonest(
    domain: TestDomain,
    steps: number,
    eventsOf: (step: number) => ReturnType<typeof userText>[] | object[],
  ): Promise<void> {
    let before: GetContextWindowResponse | undefined;
    for (let step = 0; step < steps; step++) {
      await domain.append({ sessionId, events: eventsOf(step) });
      const window = await domain.window({ sessionId });
      if (before?.prefixHash === window.prefixHash) {
        const older = linesOf(before);
        expect(linesOf(window).slice(0, older.length)).toEqual(older);
      }
      before = window;
    }
  }
});

test("Protected: a result that came late stays with its call, however many came later", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId, contextPolicy: { tokenBudget: 2_000 } } });
  const constraint = { ...result("x0", "never fly via Moscow"), kind: "constraint" };
  await domain.append({
    sessionId,
    events: [userText("hello"), call("A", "x0"), call("B", "y0"), constraint, result("y0", "ok")],
  });
  for (let round = 1; round <= 300; round++) {
    const [x, y] = [`x${round}`, `y${round}`];
    await domain.append({
      sessionId,
      events: [call("A", x), call("B", y), result(x, "fine"), result(y, "fine")],
    });
  }
  await domain.settled();
  expect(linesOf(await domain.window({ sessionId }))).toContain("result never fly via Moscow");
});

describe("bad input", () => {
  test("a budget of zero is refused, one below what must stay says the sizes", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, systemInstructions: "x".repeat(50) } });
    await domain.append({ sessionId, events: [userText("y".repeat(60))] });
    await expect(domain.window({ sessionId, tokenBudget: 0 })).rejects.toThrow(InvalidFieldError);
    const tight = domain.window({ sessionId, tokenBudget: 100 });
    await expect(tight).rejects.toThrow(ContextTooLongError);
    await expect(tight).rejects.toMatchObject({
      details: { required_tokens: "110", instruction_tokens: "50", protected_tokens: "60" },
    });
  });

  test("encodings nobody knows are refused, models nobody knows are counted high", async () => {
    await using domain = await openTestDomain();
    await domain.append({ sessionId, createIfMissing: true, events: [userText("x".repeat(100))] });
    await expect(domain.window({ sessionId, encoding: "none" })).rejects.toThrow(NotSupportedError);
    const session = { sessionId: "other", contextPolicy: { encoding: "none" } };
    await expect(domain.create({ session })).rejects.toThrow(NotSupportedError);
    const { tokens } = await domain.window({ sessionId, model: "some-new-model" });
    expect(tokens?.total).toBeGreaterThan(100);
  });

  test("Protected: events beyond their share fail the window and say so", async () => {
    await using domain = await openTestDomain();
    const contextPolicy = { protectedTokenBudget: 100 };
    await domain.create({ session: { sessionId, contextPolicy } });
    const constraint = { ...userText("x".repeat(60)), kind: "constraint" };
    await domain.append({ sessionId, events: [userText("hello"), constraint, constraint] });
    await expect(domain.window({ sessionId })).rejects.toThrow(ProtectedBudgetExceededError);
  });
});
