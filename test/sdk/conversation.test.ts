import type { Interceptor } from "@connectrpc/connect";
import {
  type Answer,
  ClientClosedError,
  type OpenaiChatMessage,
  Sessiond,
  SessionEndedError,
  SessionNotFoundError,
  SessionTtlPassedError,
  UsageError,
} from "@sessiond/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
/** What the server takes for the time. */
let nowMs: number;
let namespaces = 0;

const dayMs = 86_400_000;

beforeAll(async () => {
  nowMs = Date.parse("2026-11-20T12:00:00Z");
  server = await startInMemory({ clock: () => nowMs });
});

/** Every test has a namespace to itself. */
beforeEach(() => {
  sessiond = new Sessiond({ address: server.address, namespace: `test-${++namespaces}` });
});

afterEach(() => sessiond.close());

afterAll(() => server.stop());

/** Answers with the texts it was shown, oldest first. */
const echo: Answer = (messages) => messages.map(textOf).join(" | ");

function textOf({ content }: OpenaiChatMessage): string {
  return typeof content === "string" ? content : JSON.stringify(content);
}

describe("a conversation", () => {
  test("answers every message with what was said before", async () => {
    const conversation = await sessiond.conversations.create({ agentId: "tutor" }, echo);
    expect(await conversation.send("What is machine learning?")).toBe("What is machine learning?");
    expect(await conversation.send("For example?")).toBe(
      "What is machine learning? | What is machine learning? | For example?",
    );
    const messages = await collect(conversation.messages);
    expect(messages.map(({ role, author }) => [role, author])).toEqual([
      ["user", ""],
      ["assistant", "tutor"],
      ["user", ""],
      ["assistant", "tutor"],
    ]);
    const { items } = await conversation.messages;
    expect(items[0]).toMatchObject({ content: "What is machine learning?", revision: 2 });
  });

  test("shows its agent the system prompt, the context and the newest messages", async () => {
    const shown: OpenaiChatMessage[][] = [];
    const conversation = await sessiond.conversations.create(
      {
        agentId: "tutor",
        systemOverride: "You are a helpful coding assistant.",
        maxHistory: 3,
        context: { userName: "Alice" },
        userId: "alice",
      },
      (messages) => {
        shown.push(messages);
        return `answer ${shown.length}`;
      },
    );
    for (let turn = 1; turn <= 5; turn++) await conversation.send(`question ${turn}`);
    const [system, ...last] = shown.at(-1) ?? [];
    expect(system?.role).toBe("system");
    expect(system && textOf(system)).toMatch(/^You are a helpful coding assistant\.[\s\S]*Alice/);
    // The first message of a user stays, whatever the history's length.
    expect(last.map(textOf).slice(-3)).toEqual(["question 4", "answer 4", "question 5"]);
    expect(last.map(textOf)).not.toContain("question 3");
    const { items } = await conversation.messages;
    expect(items.length).toBe(10);
    expect(items[0]?.author).toBe("alice");
  });

  test("is rendered for the provider that is asked for", async () => {
    const input = { agentId: "tutor", systemOverride: "Be brief.", dialect: "anthropic" } as const;
    const conversation = await sessiond.conversations.create(input, ({ system, messages }) =>
      JSON.stringify([system !== undefined, messages.length]),
    );
    expect(await conversation.send("Hello")).toBe("[true,1]");
  });

  test("takes what the agent has appended itself for its answer", async () => {
    const conversation = await sessiond.conversations.create(
      { agentId: "travel" },
      async (_messages, { session, agentId }) => {
        await session.append([
          { toolCall: { callId: "1", name: "flights" } },
          { toolResult: { callId: "1", content: "NH 1" } },
          { role: "assistant", text: "Take NH 1.", author: agentId },
          { kind: "note", payload: { case: "custom", value: { type: "note" } } },
        ]);
      },
    );
    expect(await conversation.send("Which flight?")).toBe("Take NH 1.");
    expect((await conversation.messages).items.length).toBe(2);
  });

  test("fails when its agent gives nothing, also after an answer to another message", async () => {
    const answers = ["Yes.", undefined];
    const conversation = await sessiond.conversations.create({ agentId: "tutor" }, () =>
      answers.shift(),
    );
    await conversation.send("Are you there?");
    await expect(conversation.send("Still?")).rejects.toBeInstanceOf(UsageError);
  });

  test("throws what its agent throws, keeps the message, and goes on", async () => {
    const failure = new Error("model overloaded");
    let fails = true;
    const conversation = await sessiond.conversations.create({ agentId: "tutor" }, (messages) => {
      if (fails) throw failure;
      return messages.map(textOf).join(" | ");
    });
    await expect(conversation.send("Hello?")).rejects.toBe(failure);
    fails = false;
    expect(await conversation.send("Anybody?")).toMatch(/Hello\?[\s\S]*Anybody\?/);
  });

  test("answers one message at a time", async () => {
    const going = Promise.withResolvers<string>();
    const asked = Promise.withResolvers<void>();
    const conversation = await sessiond.conversations.create({ agentId: "tutor" }, () => {
      asked.resolve();
      return going.promise;
    });
    const first = conversation.send("Hello?");
    await asked.promise;
    await expect(conversation.send("Hurry!")).rejects.toBeInstanceOf(UsageError);
    going.resolve("Yes.");
    expect(await first).toBe("Yes.");
  });

  test("stops its agent when it is cancelled, and when the send is given up", async () => {
    const asked: AbortSignal[] = [];
    let onAsked = () => {};
    const conversation = await sessiond.conversations.create(
      { agentId: "tutor" },
      (_messages, { signal }) => {
        asked.push(signal);
        onAsked();
        return new Promise<never>(() => {});
      },
    );
    const giveUp = new AbortController();
    onAsked = () => giveUp.abort(new Error("took too long"));
    const given = conversation.send("Hello?", { signal: giveUp.signal });
    await expect(given).rejects.toThrow("took too long");
    onAsked = () => void conversation.session.cancel({ reason: "user left" });
    await expect(conversation.send("Anybody?")).rejects.toBeInstanceOf(SessionEndedError);
    expect(asked.map(({ aborted }) => aborted)).toEqual([true, true]);
  });
});

describe("the client of a conversation", () => {
  test("holds no watch open between messages", async () => {
    const open: AbortSignal[] = [];
    const { address, namespace } = sessiond;
    const note: Interceptor = (next) => async (req) => {
      if (req.stream) open.push(req.signal);
      return next(req);
    };
    await using counting = new Sessiond({ address, namespace, interceptors: [note] });
    const conversation = await counting.conversations.create({ agentId: "tutor" }, echo);
    await conversation.send("Hello?");
    await conversation.send("Anybody?");
    expect(open.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test("ends an answer under way when it is closed", async () => {
    const conversation = await sessiond.conversations.create({ agentId: "tutor" }, () => {
      sessiond.close();
      return new Promise<never>(() => {});
    });
    await expect(conversation.send("Hello?")).rejects.toBeInstanceOf(ClientClosedError);
  });
});

describe("a hand-off", () => {
  test("lets another agent answer, who sees all of the conversation", async () => {
    const conversation = await sessiond.conversations.create({ agentId: "first-level" }, echo);
    await conversation.send("My account is locked");
    await conversation.handoff("expert", echo, { reason: "needs access" });
    expect(conversation.agentId).toBe("expert");
    expect(await conversation.send("Can you help?")).toMatch(/My account is locked[\s\S]*help/);
    const { items } = await conversation.messages;
    expect(items.map(({ author }) => author)).toEqual(["", "first-level", "", "expert"]);
    const events = await collect(conversation.session.events());
    const [handoff] = events.flatMap(({ message: { payload } }) =>
      payload.case === "handoff" ? [payload.value] : [],
    );
    expect(handoff).toMatchObject({ from: "first-level", to: "expert", reason: "needs access" });
  });

  test("may be made in the middle of an answer", async () => {
    const conversation = await sessiond.conversations.create(
      { agentId: "first-level" },
      async () => {
        await conversation.handoff("expert", () => "I can help.");
        return "I ask a colleague.";
      },
    );
    expect(await conversation.send("Can you help?")).toBe("I ask a colleague.");
    expect(await conversation.send("And now?")).toBe("I can help.");
    const { items } = await conversation.messages;
    expect(items.map(({ author }) => author)).toEqual(["", "first-level", "", "expert"]);
  });
});

describe("a conversation that is resumed", () => {
  test("goes on after days, with the agent that answered last", async () => {
    const begun = await sessiond.conversations.create(
      { sessionId: "chat", agentId: "first-level" },
      echo,
    );
    await begun.send("My name is Alice");
    await begun.handoff("expert", echo);
    nowMs += 10 * dayMs;
    await using later = new Sessiond({ address: server.address, namespace: sessiond.namespace });
    const conversation = await later.conversations.resume("chat", echo);
    expect(conversation.agentId).toBe("expert");
    expect(await conversation.send("Who am I?")).toMatch(/My name is Alice[\s\S]*Who am I/);
  });

  test("is reopened after it was closed; until then it takes no message", async () => {
    const begun = await sessiond.conversations.create(
      { sessionId: "chat", agentId: "tutor" },
      echo,
    );
    await begun.send("Hello");
    await begun.close();
    await expect(begun.send("Hello?")).rejects.toBeInstanceOf(SessionEndedError);
    const conversation = await sessiond.conversations.resume("chat", () => "Welcome back.");
    expect(await conversation.send("I am back")).toBe("Welcome back.");
    expect(conversation.session.state).toBe("active");
  });

  test("fails when there is none, and when its time to live has passed", async () => {
    const missing = sessiond.conversations.resume("missing", echo);
    await expect(missing).rejects.toBeInstanceOf(SessionNotFoundError);
    const input = { sessionId: "chat", agentId: "tutor", preset: "conversation" } as const;
    await sessiond.conversations.create(input, echo);
    nowMs += dayMs;
    const late = sessiond.conversations.resume("chat", echo);
    await expect(late).rejects.toBeInstanceOf(SessionTtlPassedError);
  });
});
