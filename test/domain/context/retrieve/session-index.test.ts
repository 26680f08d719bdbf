import { create } from "@bufbuild/protobuf";
import { EventSchema } from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type End, SessionIndex } from "../../../../src/domain/context/retrieve/session-index.ts";
import { Turns } from "../../../../src/domain/context/retrieve/turns.ts";
import { logOf } from "./events.ts";

/** An index of texts that begins empty behind one of them and grows to both sides. */
function indexOf(texts: readonly string[], after = 0): SessionIndex {
  const index = new SessionIndex({ after, turns: new Turns() });
  const log = logOf(texts);
  for (const event of log.slice(after)) add(index, event, "newer");
  for (const event of log.slice(0, after).reverse()) add(index, event, "older");
  return index;
}

function add(index: SessionIndex, event: ReturnType<typeof logOf>[number], end: End): void {
  for (const _ of index.add(event, end));
}

async function found(index: SessionIndex, query: string, before = 10_000): Promise<number[]> {
  return (await index.search(query, { before, limit: 100 })).map(({ group }) => group);
}

const talk = [
  "The staging database listens on port 5433",
  "Our cat is called Bismarck",
  "The production database listens on port 5432",
  "Lunch is at noon",
  "Please book the train to Ghent",
];

describe("a search", () => {
  test("finds by words, best first", async () => {
    const index = indexOf(talk);
    expect(await found(index, "which port has the staging database")).toEqual([1, 3]);
    expect(await found(index, "who is Bismarck")).toEqual([2]);
    expect(await found(index, "5432")).toEqual([3]);
  });

  test("finds what was said in other words, when they are common ones", async () => {
    expect(await found(indexOf(talk), "railway tickets")).toEqual([5]);
  });

  test("prefers the word itself to its synonym", async () => {
    const index = indexOf(["the cost of it", "the price of it", "something else"]);
    expect((await found(index, "cost"))[0]).toBe(1);
    expect((await found(index, "price"))[0]).toBe(2);
  });

  test("finds only groups that begin before a revision", async () => {
    expect(await found(indexOf(talk), "database", 3)).toEqual([1]);
  });

  test("finds the newest of equals first, and as many as asked for", async () => {
    const index = indexOf(["same words", "same words", "same words"]);
    expect(await found(index, "words")).toEqual([3, 2, 1]);
    const hits = await index.search("words", { before: 10, limit: 2 });
    expect(hits.map(({ group, tokens }) => ({ group, tokens }))).toEqual([
      { group: 3, tokens: 10 },
      { group: 2, tokens: 10 },
    ]);
  });

  test("finds nothing without words", async () => {
    expect(await found(indexOf(talk), "")).toEqual([]);
    expect(await found(indexOf(talk), "what is it, and who?")).toEqual([]);
    expect(await found(indexOf([]), "port")).toEqual([]);
  });

  test("finds a group by what any of its events says, once", async () => {
    const index = new SessionIndex({ after: 0, turns: new Turns() });
    const call = { callId: "1", name: "find_hotels", arguments: '{"city":"Bordeaux"}' };
    const events = [
      { payload: { case: "toolCall", value: call } },
      { payload: { case: "toolResult", value: { callId: "1", content: "Le Tilleul" } } },
    ] as const;
    for (const [index_, event] of events.entries()) {
      const placed = create(EventSchema, { ...event, revision: index_ + 1, group: 1 });
      add(index, placed, "newer");
    }
    expect(await found(index, "hotels in Bordeaux: Tilleul")).toEqual([1]);
    expect(await found(index, "Tilleul")).toEqual([1]);
  });

  test("does not see records, which belong to no group", async () => {
    const index = new SessionIndex({ after: 0, turns: new Turns() });
    const payload = { case: "message", value: { text: "hidden" } } as const;
    add(index, create(EventSchema, { revision: 1, payload }), "newer");
    expect(await found(index, "hidden")).toEqual([]);
    expect(index.last).toBe(1);
  });

  test("finds the end of a text of a million characters", async () => {
    const index = indexOf([`${"filler words without end ".repeat(40_000)} needle`, "other"]);
    expect(await found(index, "needle")).toEqual([1]);
  });

  test("takes queries of any length", async () => {
    const query = Array.from({ length: 20_000 }, (_, i) => `word${i}`).join(" ");
    expect(await found(indexOf(["word7 is here"]), query)).toEqual([1]);
  });
});

const texts = fc.array(
  fc
    .array(fc.constantFrom("red", "green", "blue", "port", "database", "我想", "x-1"), {
      maxLength: 8,
    })
    .map((words) => words.join(" ")),
  { minLength: 1, maxLength: 30 },
);

test("an index finds the same whichever way it was made", async () => {
  await fc.assert(
    fc.asyncProperty(
      texts,
      fc.nat(30),
      fc.constantFrom("red port", "我想 x-1"),
      async (...args) => {
        const [texts, after, query] = args;
        const forward = indexOf(texts);
        const both = indexOf(texts, Math.min(after, texts.length));
        expect(await both.search(query, { before: 99, limit: 99 })).toEqual(
          await forward.search(query, { before: 99, limit: 99 }),
        );
        expect([both.first, both.last]).toEqual([1, texts.length]);
      },
    ),
  );
});

test("groups know their neighbours, whichever way the index was made", () => {
  for (const after of [0, 2, 5]) {
    const index = indexOf(talk, after);
    expect(index.neighbours(1)).toEqual({ after: { group: 2, tokens: 10 } });
    expect(index.neighbours(3)).toEqual({
      before: { group: 2, tokens: 10 },
      after: { group: 4, tokens: 10 },
    });
    expect(index.neighbours(5)).toEqual({ before: { group: 4, tokens: 10 } });
    expect(index.neighbours(6)).toEqual({});
  }
});

describe("an index of many segments", () => {
  const many = Array.from({ length: 10_000 }, (_, i) => `message number ${i + 1} of many`);

  test.each([0, 3_000, 10_000])("finds in all of them, begun behind %i", async (after) => {
    const index = indexOf(many, after);
    for (const number of [1, 4_097, 10_000]) {
      expect((await found(index, String(number), 20_000))[0]).toBe(number);
    }
  });

  test("forgets its oldest segment and what was in it", async () => {
    const index = indexOf(many);
    const { bytes } = index;
    expect(index.dropOldest()).toBe(true);
    expect(index.bytes).toBeLessThan(bytes);
    expect(index.first).toBe(4_097);
    expect(await found(index, "4096")).toEqual([]);
    expect(await found(index, "4097")).toEqual([4_097]);
    expect(index.neighbours(4_096)).toEqual({});
    expect(index.neighbours(4_097)).toEqual({ after: { group: 4_098, tokens: 10 } });
    while (index.dropOldest());
    expect(index.last).toBe(10_000);
    expect(await found(index, "10000", 20_000)).toEqual([10_000]);
  });
});
