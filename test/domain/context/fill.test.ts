import { Dialect, type GetContextWindowResponse, Role } from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import type { TokenCounter } from "../../../src/domain/tokens/counter.ts";
import type { EventInit } from "../../support/conversations.ts";
import {
  characterCounter,
  openTestDomain,
  type TestDomain,
  userText,
} from "../../support/domain.ts";

const sessionId = "s";

type Ask = Omit<Parameters<TestDomain["window"]>[0], "sessionId" | "$typeName">;

/** A log that is longer than its window, and what the window is asked for. */
interface Shape {
  readonly name: string;
  readonly turns: number;
  readonly eventsOf: (turn: number) => EventInit[];
  /** Encoding of the counts at append. Default: the window's. */
  readonly encoding?: string;
  readonly tokens?: TokenCounter;
  readonly ask: Ask & { readonly tokenBudget: number };
}

/** Counts three tokens a character in an old encoding, and one in others. */
const oldCounter: TokenCounter = {
  ...characterCounter,
  count: async (texts, encoding) => {
    const counts = await characterCounter.count(texts, encoding);
    if (encoding === "r50k_base") for (const count of counts) count.count *= 3;
    return counts;
  },
};

function said(text: string, author = ""): EventInit {
  return { role: Role.ASSISTANT, author, payload: { case: "message", value: { text } } };
}

function thought(text: string): EventInit {
  return { role: Role.ASSISTANT, payload: { case: "thinking", value: { text } } };
}

const shapes: Shape[] = [
  {
    name: "thinking that windows leave out",
    turns: 800,
    eventsOf: (turn) => [
      userText(`question ${turn}`),
      thought("x".repeat(300)),
      said(`answer ${turn}`),
    ],
    ask: { tokenBudget: 8_000 },
  },
  {
    name: "counts in an encoding with more tokens than the window's",
    turns: 1_200,
    eventsOf: (turn) => [userText(`${turn} ${"x".repeat(60)}`)],
    encoding: "r50k_base",
    tokens: oldCounter,
    ask: { tokenBudget: 40_000, model: "gpt-4o" },
  },
  {
    name: "short messages in a dialect that adds more than they have",
    turns: 2_000,
    eventsOf: () => [userText("ok")],
    ask: { tokenBudget: 8_000, dialect: Dialect.ANTHROPIC_MESSAGES },
  },
  {
    name: "short messages under the long name of another agent",
    turns: 200,
    eventsOf: () => [said("ok", "b".repeat(200))],
    ask: { tokenBudget: 3_000, agent: "A" },
  },
];

async function open({ encoding = "", tokens, turns, eventsOf }: Shape): Promise<TestDomain> {
  const domain = await openTestDomain(tokens === undefined ? {} : { tokens });
  const contextPolicy = { encoding, compaction: { manual: true } };
  await domain.create({ session: { sessionId, contextPolicy } });
  const events = Array.from({ length: turns }, (_, turn) => eventsOf(turn)).flat();
  for (let next = 0; next < events.length; next += 100) {
    await domain.append({ sessionId, events: events.slice(next, next + 100) });
  }
  return domain;
}

/** Share of its budget that a window uses. */
function used({ tokens }: GetContextWindowResponse, { ask }: Shape): number {
  return (tokens?.total ?? 0) / ask.tokenBudget;
}

describe.each(shapes)("a log of $name", (shape) => {
  test("fills four fifths of a window that drops groups, however far it has grown", async () => {
    await using domain = await open(shape);
    for (let turn = 0; turn < 40; turn++) {
      const window = await domain.window({ ...shape.ask, sessionId });
      expect(window.items.length).toBeLessThan(shape.turns);
      expect(used(window, shape)).toBeGreaterThan(0.8);
      expect(used(window, shape)).toBeLessThanOrEqual(1);
      await domain.append({ sessionId, events: shape.eventsOf(turn) });
    }
  });
});

describe("a window that drops groups", () => {
  const mixed: Shape = {
    name: "messages of many sizes",
    turns: 400,
    eventsOf: (turn) => [userText("x".repeat(1 + ((turn * 37) % 90)))],
    ask: { tokenBudget: 8_000 },
  };
  // A tenth of the room is one message under the long name.
  const small = [...shapes.slice(0, 3), mixed];

  test.each(small)(
    "begins alike over most appends to the turn of a log of $name",
    async (shape) => {
      await using domain = await open(shape);
      const hashes = await seen(domain, shape, {
        append: () => [said("more")],
        see: ({ prefixHash }) => prefixHash,
      });
      expect(new Set(hashes).size).toBeLessThanOrEqual(8);
    },
  );

  test.each(small)("keeps its cut over most turns of a log of $name", async (shape) => {
    await using domain = await open(shape);
    const cuts = await seen(domain, shape, { append: shape.eventsOf, see: cutOf });
    expect(new Set(cuts).size).toBeLessThanOrEqual(8);
  });

  test.each([...shapes, mixed])("never moves its cut back in a log of $name", async (shape) => {
    await using domain = await open(shape);
    const cuts = await seen(domain, shape, { append: shape.eventsOf, see: cutOf });
    expect(cuts).toEqual(cuts.toSorted((a, b) => a - b));
  });
});

/** Where the second item of a window stands: the first is protected, when it is the user's. */
function cutOf({ items }: GetContextWindowResponse): number {
  return items[1]?.event?.revision ?? 0;
}

/** What is seen of the windows after each of forty appends. */
async function seen<Seen>(
  domain: TestDomain,
  { ask }: Shape,
  act: {
    append(turn: number): EventInit[];
    see(window: GetContextWindowResponse): Seen;
  },
): Promise<Seen[]> {
  const all: Seen[] = [];
  for (let turn = 0; turn < 40; turn++) {
    await domain.append({ sessionId, events: act.append(turn) });
    all.push(act.see(await domain.window({ ...ask, sessionId })));
  }
  return all;
}
