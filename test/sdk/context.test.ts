import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import {
  CallAbandonedError,
  CompactionNotFoundError,
  CompactionStaleError,
  type ContextPolicyInput,
  ContextTooLongError,
  type DialectWord,
  InvalidFieldError,
  NotSupportedError,
  ProtectedBudgetExceededError,
  RevisionConflictError,
  type Session,
  Sessiond,
  SessionNotFoundError,
  UsageError,
} from "@sessiond/client";
import { Sessiond as WebSessiond } from "@sessiond/client/web";
import { CompactionStrategy } from "@sessiond/contract";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { validators } from "../domain/context/validators/validators.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let session: Session;

beforeAll(async () => {
  server = await startInMemory();
  sessiond = new Sessiond(server.address);
});

beforeEach(async () => {
  session = await travel(sessiond);
});

afterAll(async () => {
  sessiond.close();
  await server.stop();
});

/** A session with instructions, a tool, a constraint at revision 3, and ten turns with calls. */
async function travel(
  client: Sessiond | WebSessiond,
  contextPolicy: ContextPolicyInput = {},
): Promise<Session> {
  const made = await client.sessions.create({
    systemInstructions: "You plan trips.",
    tools: [{ name: "flights", description: "Finds flights" }],
    contextPolicy: { ...contextPolicy, compaction: { manual: true, ...contextPolicy.compaction } },
  });
  await made.append([
    { role: "user", text: "I want to visit Japan" },
    { role: "user", text: "Never fly via Moscow", kind: "constraint" },
  ]);
  for (let day = 1; day <= 10; day++) {
    await made.append([
      { role: "user", text: `Which flights leave on day ${day}?` },
      { toolCall: { callId: `c${day}`, name: "flights", arguments: { day } } },
      { toolResult: { callId: `c${day}`, content: `Flight NH${day} costs ${100 * day} EUR.` } },
      { role: "assistant", text: `Take flight NH${day}.`, author: "planner" },
    ]);
  }
  return made;
}

describe("a context window", () => {
  test("has events as the client shows them, with what was done to them in words", async () => {
    const { items } = await session.contextWindow();
    expect(items.slice(0, 3)).toMatchObject([
      { event: { revision: 0, role: "system" }, treatment: "synthetic", reason: "instructions" },
      {
        event: { revision: 2, type: "message", role: "user", text: "I want to visit Japan" },
        treatment: "kept",
        reason: "initial_objective",
        covered: [],
      },
      { event: { revision: 3, kind: "constraint" }, reason: "explicit_constraint" },
    ]);
    expect(items.at(-1)?.event.text).toBe("Take flight NH10.");
  });

  test("accounts for its tokens, which are within the budget less what is reserved", async () => {
    const budget = 200;
    const window = await session.contextWindow({ budget, reservedOutput: 40 });
    const { total, ...parts } = window.tokens;
    expect(Object.values(parts).reduce((sum, part) => sum + part)).toBe(total);
    expect(window.items.reduce((sum, { tokens }) => sum + tokens, parts.tools)).toBe(total);
    expect(total).toBeLessThanOrEqual(160);
    expect(window).toMatchObject({ budget, reservedOutput: 40, ratio: total / 160 });
    expect(window).toMatchObject({ encoding: "o200k_base", accuracy: "exact" });
    expect(window.headRevision).toBe(session.headRevision);
    expect(parts).not.toHaveProperty("$typeName");
  });

  test("is counted in the encoding given, or in that of the model", async () => {
    const given = await session.contextWindow({ encoding: "cl100k_base" });
    expect(given.encoding).toBe("cl100k_base");
    expect((await session.contextWindow({ model: "gpt-4" })).encoding).toBe("cl100k_base");
  });

  test("explains every group when asked to, and else none", async () => {
    const { groups, items } = await session.contextWindow({ budget: 200, explain: true });
    expect(groups[0]).toMatchObject({
      firstRevision: 2,
      lastRevision: 2,
      treatment: "kept",
      reason: "initial_objective",
    });
    expect(groups.map(({ treatment }) => treatment)).toContain("dropped");
    expect(items.length).toBeLessThan(session.headRevision);
    expect((await session.contextWindow()).groups).toEqual([]);
  });

  test("with a query has older events that match it", async () => {
    const texts = async (query?: string) => {
      const { items } = await session.contextWindow({ budget: 200, query });
      return items.filter(({ treatment }) => treatment === "retrieved").map((i) => i.event.text);
    };
    expect(await texts()).toEqual([]);
    expect(await texts("NH2")).toContain("Take flight NH2.");
  });

  test("uses the newest user message as its query when told to", async () => {
    await session.append({ role: "user", text: "What about NH2 again?" });
    const { items } = await session.contextWindow({ budget: 200, retrieve: true });
    expect(items.map(({ event }) => event.text)).toContain("Take flight NH2.");
  });

  test("has only events of the authors asked for, and labels other agents", async () => {
    const isPlanner = ({ event }: { event: { text: string } }) => event.text.includes("NH10.");
    const others = await session.contextWindow({ authors: ["booker"] });
    expect(others.items.some(isPlanner)).toBe(false);
    const own = await session.contextWindow({ agent: "planner" });
    expect(own.items.find(isPlanner)?.event.role).toBe("assistant");
    const seen = await session.contextWindow({ agent: "booker" });
    expect(seen.items.filter(({ event }) => event.text.includes("planner")).length).toBe(10);
  });

  test("follows the policy given for it", async () => {
    const { items } = await session.contextWindow({ policy: { maxTurns: 1 } });
    const turns = items.filter(({ event }) => event.type === "toolCall");
    expect(turns).toHaveLength(1);
  });

  test("says whether and why its prefix changed", async () => {
    const { prefixHash, prefixChanged } = await session.contextWindow();
    expect(prefixChanged).toBe(false);
    const known = { knownPrefixHash: prefixHash };
    const same = await session.contextWindow(known);
    expect(same).toMatchObject({ prefixHash, prefixChanged: false, prefixChangeReason: undefined });
    await session.compact({ targetRatio: 0.01 });
    const compacted = await session.contextWindow(known);
    expect(compacted).toMatchObject({ prefixChanged: true, prefixChangeReason: "compaction" });
  });

  test.each([-1, Number.NaN, 1.5, 1e12])("refuses a budget of %d with a sentence", async (n) => {
    for (const options of [{ budget: n }, { reservedOutput: n }, { policy: { maxTurns: n } }]) {
      const asked = session.contextWindow(options);
      await expect(asked).rejects.toThrow(UsageError);
      await expect(asked).rejects.toThrow(`is ${n}; give a whole number`);
    }
  });

  test("refuses a dialect that there is not, and says which there are", async () => {
    const dialect = "cobol" as DialectWord;
    const refused = /^dialect is "cobol"; use one of openai-chat, .*gemini$/;
    await expect(session.contextWindow({ dialect })).rejects.toThrow(refused);
    await expect(session.messages(dialect)).rejects.toThrow(UsageError);
    await expect(sessiond.countTokens({ texts: ["a"], dialect })).rejects.toThrow(refused);
  });

  test("carries the rendered part for a dialect only", async () => {
    expect((await session.contextWindow()).rendered).toBeUndefined();
    const { rendered } = await session.contextWindow({ dialect: "gemini" });
    expect(rendered).toEqual(await session.messages("gemini"));
  });
});

describe("messages for a provider", () => {
  test.each<[DialectWord, keyof typeof validators]>([
    ["openai-chat", "openai-chat"],
    ["openai-responses", "openai-responses"],
    ["anthropic", "anthropic-messages"],
    ["gemini", "gemini"],
  ])("are Never rejected, on any budget: %s", async (dialect, name) => {
    for (const budget of [150, 300, 8_000]) {
      const part = await session.messages(dialect, { budget });
      expect(validators[name].validate(JSON.parse(JSON.stringify(part)))).toEqual([]);
    }
  });

  test("are typed: each dialect's request can be put together from them", async () => {
    const chat = await session.messages("openai-chat");
    expect(chat.map(({ role }) => role).slice(0, 5)).toEqual([
      "system",
      "user",
      "user",
      "user",
      "assistant",
    ]);
    const items = await session.messages("openai-responses");
    const calls = items.filter((item) => item.type === "function_call");
    expect(calls[0]).toMatchObject({ call_id: "c1", name: "flights", arguments: '{"day":1}' });
    const { system, messages } = await session.messages("anthropic");
    expect(system).toBe("You plan trips.");
    expect(messages.at(-1)?.role).toBe("user");
    const { systemInstruction, contents } = await session.messages("gemini");
    expect(systemInstruction?.parts[0]?.text).toBe("You plan trips.");
    expect(contents[1]?.parts[0]?.functionCall).toEqual({ name: "flights", args: { day: 1 } });
  });
});

describe("compaction", () => {
  test("takes older events out of the window, and taking it back brings them back", async () => {
    const before = await session.contextWindow();
    const { revision, compaction, usage } = await session.compact({
      strategy: "extract",
      targetRatio: 0.01,
    });
    expect(compaction).toMatchObject({ strategy: "extract", tokensBefore: before.tokens.total });
    expect(compaction?.summary).toContain("NH1");
    expect(compaction?.tokensAfter).toBe(usage.windowTokens);
    expect(usage).toMatchObject({ budget: 8_000, compactionDue: false });
    const after = await session.contextWindow();
    expect(after.tokens.total).toBeLessThan(before.tokens.total);
    const summary = after.items.find(({ treatment }) => treatment === "summarised");
    expect(summary?.covered).toEqual(compaction?.covered);

    const { revision: reverted } = await session.revertCompaction({ compactionRevision: revision });
    expect(reverted).toBe(revision + 1);
    expect((await session.contextWindow()).items).toEqual(before.items);
    await expect(session.revertCompaction()).rejects.toBeInstanceOf(CompactionNotFoundError);
  });

  test("of nothing has no revision and no compaction", async () => {
    const empty = await sessiond.sessions.create();
    expect(await empty.compact()).toMatchObject({ revision: 0, compaction: undefined });
  });

  test("by the agent waits for its summary, which one submission answers", async () => {
    const { revision, compaction } = await session.compact({
      strategy: "client",
      targetRatio: 0.01,
    });
    expect(compaction).toBeUndefined();
    const { items } = await session.events({ first: revision, last: revision });
    expect(items[0]?.type).toBe("compactionDue");
    await expect(session.submitSummary(revision, " ")).rejects.toBeInstanceOf(InvalidFieldError);
    const submitted = await session.submitSummary(revision, "Flights NH1 to NH9 were offered.");
    expect(submitted.compaction).toMatchObject({
      strategy: "client",
      summary: "Flights NH1 to NH9 were offered.",
    });
    const late = await session.submitSummary(revision, "late").catch((error: unknown) => error);
    expect(late).toBeInstanceOf(CompactionStaleError);
  });
});

describe("protection", () => {
  test("is put on with a reason and taken away, and windows follow", async () => {
    const of = async (revision: number) => {
      const { items } = await session.contextWindow({ budget: 150 });
      return items.find(({ event }) => event.revision === revision)?.reason;
    };
    expect(await of(7)).toBeUndefined();
    const before = session.headRevision;
    const change = await session.protect([7], "promise");
    expect(change).toMatchObject({ revision: before + 1, protectedBudget: 4_000 });
    expect(session.headRevision).toBe(change.revision);
    expect(change.protectedTokens).toBeGreaterThan(0);
    expect(await of(7)).toBe("promise");
    const { protectedTokens } = await session.unprotect([3, 7]);
    expect(protectedTokens).toBe(0);
    expect(await of(7)).toBeUndefined();
  });

  test("beyond its budget, or of revisions that are not there, is refused", async () => {
    const small = await travel(sessiond, { protectedTokenBudget: 20 });
    const all = Array.from({ length: 12 }, (_, index) => index + 4);
    const refused = await small.protect(all).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ProtectedBudgetExceededError);
    expect(refused).toMatchObject({ limitTokens: 20 });
    await expect(small.protect([9_999])).rejects.toBeInstanceOf(InvalidFieldError);
  });
});

describe("amendments", () => {
  const argumentsOf = async (revision: number) => {
    const { items } = await session.contextWindow();
    return items.find(({ event }) => event.revision === revision)?.event.toolCall?.arguments;
  };

  test("give a call other arguments, an object as JSON, a text as it is", async () => {
    const [call] = (await session.events({ pageSize: 100 })).items.filter(
      ({ type }) => type === "toolCall",
    );
    const revision = call?.revision ?? 0;
    expect(await argumentsOf(revision)).toBe('{"day":1}');
    const before = session.headRevision;
    const change = await session.amendToolCall(revision, { day: 7 });
    expect(change).toMatchObject({ revision: before + 1, usage: { budget: 8_000 } });
    expect(session.headRevision).toBe(change.revision);
    expect(await argumentsOf(revision)).toBe('{"day":7}');
    expect((await session.steps()).items[0]?.input).toBe('{"day":7}');
    await session.amendToolCall(revision, '{ "day" : 8 }');
    expect(await argumentsOf(revision)).toBe('{ "day" : 8 }');
    const same = await session.amendToolCall(revision, '{ "day" : 8 }');
    expect(same.revision).toBe(0);
    expect(session.headRevision).toBe(change.revision + 1);
    const { items } = await session.events({ first: revision, last: revision });
    expect(items[0]?.toolCall?.arguments).toBe('{"day":1}');
  });

  test("of what is no call, or of another revision than expected, are refused", async () => {
    await expect(session.amendToolCall(2, {})).rejects.toBeInstanceOf(InvalidFieldError);
    await expect(session.amendToolCall(2.5, {})).rejects.toBeInstanceOf(UsageError);
    const late = session.amendToolCall(5, {}, { expectedRevision: 1 });
    await expect(late).rejects.toBeInstanceOf(RevisionConflictError);
  });
});

test("a session's policy is written in words and milliseconds", async () => {
  const { message } = await sessiond.sessions.create({
    contextPolicy: { tokenBudget: 900, compaction: { strategy: "drop" }, callLeaseMs: 1_500 },
  });
  expect(message.contextPolicy).toMatchObject({
    tokenBudget: 900,
    compaction: { strategy: CompactionStrategy.DROP },
    callLease: { seconds: 1n, nanos: 500_000_000 },
  });
});

test("tokens are counted as windows count them", async () => {
  const { total, texts, events, tools, overhead } = await sessiond.countTokens({
    texts: ["hello world", ""],
    events: [{ role: "user", text: "I want to visit Japan" }],
    tools: [{ name: "flights", description: "Finds flights" }],
    dialect: "openai-chat",
  });
  expect(texts).toMatchObject([
    { count: 2, encoding: "o200k_base", accuracy: "exact" },
    { count: 0 },
  ]);
  const window = await session.contextWindow({ dialect: "openai-chat" });
  expect(events[0]?.count).toBe(window.items[1]?.tokens);
  expect(tools[0]?.count).toBe(window.tokens.tools);
  const parts = [...texts, ...events, ...tools].reduce((sum, { count }) => sum + count, overhead);
  expect(total.count).toBe(parts);
  expect(overhead).toBeGreaterThan(0);
});

describe("what goes wrong has the class of its reason", () => {
  test("a budget that what must stay exceeds, with the sizes", async () => {
    const error = await session.contextWindow({ budget: 12 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ContextTooLongError);
    const { tokenBudget, requiredTokens } = error as ContextTooLongError;
    expect(tokenBudget).toBe(12);
    expect(requiredTokens).toBeGreaterThan(12);
    expect(error).toMatchObject({ sessionId: session.sessionId, retryable: false });
    await expect(session.messages("gemini", { budget: 12 })).rejects.toBeInstanceOf(
      ContextTooLongError,
    );
  });

  test("a rule that does not compile, with the place in it", async () => {
    const protectionRules = [{ expression: "event.kind ==", reason: "broken" }];
    const error = await session.contextWindow({ policy: { protectionRules } }).catch((e) => e);
    expect(error).toBeInstanceOf(InvalidFieldError);
    expect(error.field).toBe("policy.protection_rules[0].expression");
  });

  test("an encoding nobody knows, a session that is not there", async () => {
    const encoding = "klingon";
    await expect(session.contextWindow({ encoding })).rejects.toBeInstanceOf(NotSupportedError);
    await expect(sessiond.countTokens({ encoding })).rejects.toBeInstanceOf(NotSupportedError);
    await session.delete();
    await expect(session.contextWindow()).rejects.toBeInstanceOf(SessionNotFoundError);
  });
});

/** Every call about windows, and the events it appends. */
const calls = [
  ["contextWindow", 0, (s: Session, signal?: AbortSignal) => s.contextWindow({ signal })],
  ["messages", 0, (s: Session, signal?: AbortSignal) => s.messages("gemini", { signal })],
  ["compact", 1, (s: Session, signal?: AbortSignal) => s.compact({ targetRatio: 0.01, signal })],
  ["protect", 1, (s: Session, signal?: AbortSignal) => s.protect([4], "kept", { signal })],
  ["unprotect", 1, (s: Session, signal?: AbortSignal) => s.unprotect([3], { signal })],
] as const;

describe.each(calls)("%s", (_, appended, call) => {
  test("can be aborted", async () => {
    await expect(call(session, AbortSignal.abort())).rejects.toBeInstanceOf(CallAbandonedError);
  });

  test("is repeated when its answer was lost, and is Idempotent", async () => {
    const requestIds: unknown[] = [];
    await using flaky = new Sessiond({
      address: server.address,
      environment: { sleep: async () => {} },
      interceptors: [losesFirstAnswer(requestIds)],
    });
    await call(await flaky.sessions.get(session.sessionId));
    expect(requestIds).toHaveLength(2);
    expect(new Set(requestIds).size).toBe(1);
    const { items } = await session.events({ first: session.headRevision + 1 });
    expect(items).toHaveLength(appended);
  });
});

/** The first call about windows takes effect, and the connection breaks before its answer. */
function losesFirstAnswer(requestIds: unknown[]): Interceptor {
  return (next) => async (req) => {
    const answer = await next(req);
    if (!req.service.typeName.endsWith("ContextService")) return answer;
    requestIds.push(Reflect.get(req.message, "requestId"));
    if (requestIds.length === 1) throw new ConnectError("lost", Code.Unavailable);
    return answer;
  };
}

test("the client for browsers gives the same windows, messages and counts", async () => {
  await using web = new WebSessiond(`http://${server.address}`);
  const handle = await web.sessions.get(session.sessionId);
  const options = { budget: 300, explain: true };
  expect(await handle.contextWindow(options)).toEqual(await session.contextWindow(options));
  expect(await handle.messages("anthropic")).toEqual(await session.messages("anthropic"));
  const texts = ["hello world"];
  expect(await web.countTokens({ texts })).toEqual(await sessiond.countTokens({ texts }));
  expect((await handle.compact({ targetRatio: 0.01 })).compaction).toBeDefined();
});
