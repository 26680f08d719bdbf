import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CompactionStrategy,
  type Session,
  type SessionSchema,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { ContextStateSchema, SessionHeadSchema } from "@sessiond/contract/store";
import { describe, expect, test } from "vitest";
import { reencoded } from "../../../src/domain/context/reencoding.ts";
import type { SummaryTask } from "../../../src/domain/context/summarisers/summariser.ts";
import { InvalidFieldError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import {
  assistantText,
  bytesOf,
  call,
  compact,
  compactionsOf,
  everything,
  result,
  say,
  sessionId,
  submit,
  summaryIn,
  talk,
  text,
  usages,
} from "./compaction/support.ts";

/** Counts of this model are exact; of the other one they are multiplied with 1.4. */
const exact = "gpt-4o";
const scaled = "claude-sonnet-4";

type Fields = Exclude<MessageInitShape<typeof SessionSchema>, Session>;

async function openWith(
  fields: Fields,
  options: Parameters<typeof openTestDomain>[0] = {},
): Promise<TestDomain> {
  const domain = await openTestDomain(options);
  await domain.create({ session: { sessionId, ...fields } });
  return domain;
}

async function update(domain: TestDomain, fields: Fields) {
  const session = { sessionId, ...fields };
  await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
}

async function expectMeasured(domain: TestDomain): Promise<void> {
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
}

const manual = { compaction: { manual: true } };

describe("another model", () => {
  test("brings the usage to what the window has in its count, and back", async () => {
    await using domain = await openWith({
      model: exact,
      systemInstructions: "You plan trips.",
      tools: [{ name: "flights", description: "Finds flights" }],
      contextPolicy: manual,
    });
    await talk(domain, { turns: 5, tokens: 101 });
    await say(domain, call("c1"), result("c1", text(333)));
    const before = await usages(domain);
    await update(domain, { model: scaled });
    const after = await usages(domain);
    expect(after.usage).toBe(after.window);
    expect(after.usage).toBeGreaterThan(before.usage * 1.39);
    await update(domain, { contextPolicy: { ...manual, encoding: "cl100k_base" } });
    expect(await usages(domain)).toEqual(before);
  });

  test("does not count what stands in for a result that is awaited", async () => {
    await using domain = await openWith({ model: exact, contextPolicy: manual });
    await say(domain, userText(text(100)), call("c1"));
    await update(domain, { model: scaled });
    await say(domain, result("c1", text(55)));
    await expectMeasured(domain);
  });

  test("makes a compaction due that starts with the next append", async () => {
    await using domain = await openWith({ model: exact });
    await talk(domain, { turns: 15, tokens: 220 });
    expect(await compactionsOf(domain)).toHaveLength(0);
    await update(domain, { model: scaled });
    expect((await domain.window({ sessionId, tokenBudget: 100_000 })).tokens?.total).toBe(9_240);
    await say(domain, userText("go on"));
    const [compaction] = await compactionsOf(domain);
    expect(compaction?.tokensBefore).toBe(9_247);
    await expectMeasured(domain);
  });

  test.each([
    [exact, scaled],
    [scaled, exact],
  ])("measures summaries anew, and a restart shows the same: %s to %s", async (from, to) => {
    const store = await MemoryStore.open();
    const domain = await openWith({ model: from, contextPolicy: manual }, { store });
    await talk(domain, { turns: 20, tokens: 100 });
    await compact(domain);
    await talk(domain, { turns: 3, tokens: 50, from: 20 });
    await update(domain, { model: to });
    await expectMeasured(domain);
    const { tokens } = await domain.window(everything);
    await domain.close();
    await using again = await openTestDomain({ store });
    expect((await again.window(everything)).tokens).toEqual(tokens);
    await compact(again, { targetRatio: 0.05 });
    await expectMeasured(again);
  });

  test("scales what was appended since it was measured", () => {
    const context = create(ContextStateSchema, { holdBelowTokens: 1_000 });
    const head = create(SessionHeadSchema, { windowTokens: 150, context });
    const sizes = { tokensBefore: 100, windowTokens: 140, compactionRevision: 0, summaryTokens: 0 };
    expect(reencoded(head, sizes)).toMatchObject({
      windowTokens: 210,
      context: { holdBelowTokens: 1_400 },
    });
  });

  test("is measured with appends around it", async () => {
    await using domain = await openWith({ model: exact, contextPolicy: manual });
    await talk(domain, { turns: 5, tokens: 100 });
    const appends = Array.from({ length: 20 }, (_, name) => say(domain, userText(text(100, name))));
    await Promise.all([update(domain, { model: scaled }), ...appends]);
    const { usage, window } = await usages(domain);
    expect(Math.abs(usage / window - 1)).toBeLessThan(0.01);
  });

  test("takes the newest events for all when a log is long", async () => {
    await using domain = await openWith({ model: exact, contextPolicy: manual });
    for (let page = 0; page < 21; page++) {
      const events = Array.from({ length: 100 }, () => userText("x".repeat(100)));
      await say(domain, ...events);
    }
    await update(domain, { model: scaled });
    await expectMeasured(domain);
  });

  test("leaves the usage alone when it counts the same", async () => {
    await using domain = await openWith({ model: exact, contextPolicy: manual });
    await talk(domain, { turns: 5, tokens: 100 });
    const before = await usages(domain);
    await update(domain, { model: "gpt-4.1", title: "other" });
    expect(await usages(domain)).toEqual(before);
  });
});

describe("a summary", () => {
  test("is made for any target, however small", async () => {
    await using domain = await openWith({ contextPolicy: manual });
    await talk(domain, { turns: 20, tokens: 100 });
    const { revision, compaction } = await compact(domain, { targetRatio: 0.001 });
    expect(revision).toBeGreaterThan(0);
    expect(compaction?.tokensAfter).toBeLessThan(compaction?.tokensBefore ?? 0);
  });

  test("is as long as its share of the window in the count of the model", async () => {
    const tasks: SummaryTask[] = [];
    const httpSummariser = {
      summarise: async (task: SummaryTask) => {
        tasks.push(task);
        return "x".repeat(task.maxTokens);
      },
    };
    const compaction = { manual: true, strategy: CompactionStrategy.HTTP };
    await using domain = await openWith(
      { model: scaled, contextPolicy: { compaction } },
      { httpSummariser },
    );
    await talk(domain, { turns: 60, tokens: 100 });
    await compact(domain);
    // A fifth of 8,000, in plain tokens.
    expect(tasks.map(({ maxTokens }) => maxTokens)).toEqual([Math.floor(1_600 / 1.4)]);
    await expectMeasured(domain);
  });

  test("of an agent is checked in the count it was announced in", async () => {
    const compaction = { manual: true, strategy: CompactionStrategy.CLIENT };
    await using domain = await openWith({ model: scaled, contextPolicy: { compaction } });
    await talk(domain, { turns: 60, tokens: 100 });
    const { revision: dueRevision } = await compact(domain);
    const due = (await domain.log(sessionId)).at(-1)?.payload;
    if (due?.case !== "compactionDue") throw new Error("no compaction is due");
    const most = Math.floor(due.value.maxSummaryTokens / 1.4);
    const tooLong = submit(domain, { dueRevision, summary: "x".repeat(most + 1) });
    await expect(tooLong).rejects.toThrow(InvalidFieldError);
    await submit(domain, { dueRevision, summary: "x".repeat(most) });
    await expectMeasured(domain);
  });

  test("of an agent says something that can be seen", async () => {
    const compaction = { manual: true, strategy: CompactionStrategy.CLIENT };
    await using domain = await openWith({ contextPolicy: { compaction } });
    await talk(domain, { turns: 20, tokens: 100 });
    const { revision: dueRevision } = await compact(domain);
    for (const summary of ["\u200b\u2060", "\u00a0\u2003\n", "\u00ad\ufeff", "\u3164"]) {
      const submitted = submit(domain, { dueRevision, summary });
      await expect(submitted).rejects.toThrow(InvalidFieldError);
    }
  });

  test("with half a character shows the same after a restart", async () => {
    const store = await MemoryStore.open();
    const httpSummariser = { summarise: async () => "They \ud83d talked." };
    const compaction = { manual: true, strategy: CompactionStrategy.HTTP };
    const options = { store, httpSummariser };
    const domain = await openWith({ contextPolicy: { compaction } }, options);
    await say(domain, userText(text(100)));
    await talk(domain, { turns: 20, tokens: 100 });
    await say(domain, assistantText("done"));
    await compact(domain);
    const before = await domain.window(everything);
    expect(summaryIn(before)).toContain("They \ufffd talked.");
    await domain.close();
    await using again = await openTestDomain(options);
    expect(bytesOf(await again.window(everything))).toEqual(bytesOf(before));
  });
});
