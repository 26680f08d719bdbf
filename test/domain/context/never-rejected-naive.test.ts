import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WorkerTokenCounter } from "../../../src/domain/tokens/worker-counter.ts";
import type { ChatMessage } from "../../e2e/demo/runs.ts";
import {
  askedAt,
  type Conversation,
  loadConversations,
  textsOf,
} from "../../support/conversations.ts";
import { validateOpenAiChat } from "./validators/openai-chat.ts";

/** What the naive way came to. */
interface Tally {
  cuts: number;
  refused: number;
}

const { conversations, source } = loadConversations();
/** Tokens of every message. */
let sizes: ReadonlyMap<ChatMessage, number>;
const counter = new WorkerTokenCounter({ log: { warn: () => {} } });

beforeAll(async () => {
  sizes = await countMessages();
});

afterAll(() => counter.close());

/*
 * What everybody does at first: keep the instructions and the newest of the rest. Cuts are made of
 * every beginning of a history that is accepted whole, so the cut alone is to blame; those that cut
 * nothing off do not count.
 */
describe("a history whose beginning is cut off is refused by providers", () => {
  it("when the newest messages are kept", () => {
    const sizesToKeep = Array.from({ length: 29 }, (_, index) => index + 2);
    const tally = cutAll(sizesToKeep, (messages, size) => messages.slice(-size));
    report("newest 2 to 30 messages", tally);
    expect(tally.refused / tally.cuts).toBeGreaterThan(0.05);
  });

  it("when the newest tokens are kept", () => {
    // The small runs of our own have not enough tokens for large budgets.
    const budgets = [20, 40, 80, 300, 1_000, 1_500, 2_000, 3_000, 8_000];
    const tally = cutAll(budgets, tailOf);
    report("newest 20 to 8,000 tokens", tally);
    expect(tally.refused / tally.cuts).toBeGreaterThan(0.05);
  });

  it("and is not refused where the agent asked the model and nothing was cut", () => {
    for (const conversation of conversations) {
      for (const length of askedAt(conversation)) {
        const messages = toChat(conversation, conversation.messages.slice(0, length));
        expect(validateOpenAiChat(messages)).toEqual([]);
      }
    }
  });
});

function cutAll(
  sizesToKeep: readonly number[],
  cut: (messages: readonly ChatMessage[], size: number) => readonly ChatMessage[],
): Tally {
  const tally: Tally = { cuts: 0, refused: 0 };
  for (const conversation of conversations) {
    for (let length = 1; length <= conversation.messages.length; length++) {
      const messages = conversation.messages.slice(0, length);
      if (isRefused(conversation, messages)) continue;
      for (const size of sizesToKeep) {
        const kept = cut(messages, size);
        if (kept.length === messages.length || kept.length === 0) continue;
        tally.cuts++;
        if (isRefused(conversation, kept)) tally.refused++;
      }
    }
  }
  return tally;
}

function isRefused(conversation: Conversation, messages: readonly ChatMessage[]): boolean {
  return validateOpenAiChat(toChat(conversation, messages)).length > 0;
}

/** The newest messages that have no more tokens than the budget. */
function tailOf(messages: readonly ChatMessage[], budget: number): readonly ChatMessage[] {
  let left = budget;
  let first = messages.length;
  for (let index = first - 1; index >= 0; index--) {
    const message = messages[index];
    if (message === undefined) break;
    left -= sizes.get(message) ?? 0;
    if (left < 0) break;
    first = index;
  }
  return messages.slice(first);
}

async function countMessages(): Promise<ReadonlyMap<ChatMessage, number>> {
  const messages = conversations.flatMap((conversation) => conversation.messages);
  const texts = messages.map((message) => textsOf(message).join("\n"));
  const counts = await counter.count(texts, "o200k_base");
  return new Map(messages.map((message, index) => [message, counts[index]?.count ?? 0]));
}

/** The recorded form is the provider's own, but for a name that results carry. */
function toChat({ systemInstructions }: Conversation, kept: readonly ChatMessage[]): JsonValue {
  const messages = kept.map(({ role, content, tool_calls, tool_call_id }): JsonObject => {
    if (role === "tool") return { role, content, tool_call_id: tool_call_id ?? "" };
    if (tool_calls === undefined) return { role, content };
    const calls = tool_calls.map(({ id, function: tool }) => ({
      id,
      type: "function",
      function: { name: tool.name, arguments: tool.arguments },
    }));
    return { role, content, tool_calls: calls };
  });
  return [{ role: "system", content: systemInstructions }, ...messages];
}

function report(what: string, { cuts, refused }: Tally): void {
  const share = ((100 * refused) / cuts).toFixed(1);
  process.stdout.write(`${what}: ${refused} of ${cuts} cuts are refused, ${share} % (${source})\n`);
}
