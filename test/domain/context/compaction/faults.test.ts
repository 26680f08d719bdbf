import { CompactionStrategy } from "@sessiond/contract";
import { expect, test } from "vitest";
import type { Summariser } from "../../../../src/domain/context/summarisers/summariser.ts";
import {
  CompactionStaleError,
  NotSupportedError,
  SessionEndedError,
  SessionNotFoundError,
  SummariserFailedError,
  WritesRefusedError,
} from "../../../../src/errors.ts";
import { MemoryStore } from "../../../../src/store/memory/memory-store.ts";
import type { Change, Store } from "../../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../../support/domain.ts";
import {
  amend,
  bytesOf,
  call,
  compact,
  compactionsOf,
  end,
  everything,
  open,
  protect,
  remove,
  result,
  say,
  sessionId,
  summaryIn,
  talk,
  text,
  usages,
} from "./support.ts";

const http = { strategy: CompactionStrategy.HTTP } as const;

/** A summariser that a test answers for. */
class Gate implements Summariser {
  readonly asked = Promise.withResolvers<void>();
  readonly answer = Promise.withResolvers<string>();

  summarise({ signal }: Parameters<Summariser["summarise"]>[0]): Promise<string> {
    this.asked.resolve();
    const giveUp = () => this.answer.reject(new SummariserFailedError("nobody waits"));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp);
    return this.answer.promise;
  }
}

/** A session that a compaction would take something away from. */
async function openFull(options: Parameters<typeof openTestDomain>[0] = {}): Promise<TestDomain> {
  const domain = await openTestDomain(options);
  await open(domain, { compaction: { ...http, manual: true } });
  await talk(domain, { turns: 40, tokens: 100 });
  return domain;
}

/** Holds that the window is as it was, and its tokens are as they are said to be. */
async function expectUnchanged(domain: TestDomain, before: readonly string[]): Promise<void> {
  expect(bytesOf(await domain.window(everything)).slice(0, before.length)).toEqual(before);
  expect(await compactionsOf(domain)).toHaveLength(0);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
}

test.for([
  ["throws", () => Promise.reject(new Error("broken"))],
  ["gives nothing", async () => ""],
  ["gives white space", async () => " \n\t "],
  ["gives more than it may", async ({ maxTokens }) => "x".repeat(maxTokens + 1)],
] satisfies [string, Summariser["summarise"]][])(
  "Fail-closed: a summariser that %s leaves the old window",
  async ([, summarise]) => {
    await using domain = await openFull({ httpSummariser: { summarise } });
    const before = bytesOf(await domain.window(everything));
    await expect(compact(domain)).rejects.toThrow();
    await expectUnchanged(domain, before);
  },
);

test("Fail-closed: a compaction that is given up leaves the old window", async () => {
  const gate = new Gate();
  await using domain = await openFull({ httpSummariser: gate });
  const before = bytesOf(await domain.window(everything));
  const caller = new AbortController();
  const compaction = compact(domain, {}, caller.signal);
  await gate.asked.promise;
  caller.abort();
  await expect(compaction).rejects.toThrow(SummariserFailedError);
  await expectUnchanged(domain, before);
});

test("Fail-closed: a strategy without an endpoint is refused", async () => {
  await using domain = await openFull();
  const before = bytesOf(await domain.window(everything));
  await expect(compact(domain)).rejects.toThrow(NotSupportedError);
  await expectUnchanged(domain, before);
});

test("Fail-closed: a store that refuses the compaction leaves the old window, and the next one works", async () => {
  let refuses = false;
  const memory = await MemoryStore.open();
  const store: Store = new Proxy(memory, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "commit") return value.bind(target);
      return async (change: Change) => {
        if (refuses) throw new WritesRefusedError("disk full");
        return target.commit(change);
      };
    },
  });
  await using domain = await openFull({ store });
  const before = bytesOf(await domain.window(everything));
  const strategy = CompactionStrategy.EXTRACT;
  refuses = true;
  await expect(compact(domain, { strategy })).rejects.toThrow(WritesRefusedError);
  refuses = false;
  await expectUnchanged(domain, before);
  expect((await compact(domain, { strategy })).compaction).toBeDefined();
});

test.for([
  ["an event that leaves was protected", (domain) => protect(domain, [4]), CompactionStaleError],
  ["the session was ended", (domain) => end(domain), SessionEndedError],
  ["the session was deleted", (domain) => remove(domain), SessionNotFoundError],
] satisfies [string, (domain: TestDomain) => Promise<unknown>, new (...args: never) => Error][])(
  "Fail-closed: no compaction comes into force when meanwhile %s",
  async ([, happen, error]) => {
    const gate = new Gate();
    await using domain = await openFull({ httpSummariser: gate });
    const compaction = compact(domain);
    await gate.asked.promise;
    await happen(domain);
    gate.answer.resolve("They talked.");
    await expect(compaction).rejects.toThrow(error);
    if (error === SessionNotFoundError) return;
    expect(await compactionsOf(domain)).toHaveLength(0);
    const { usage, window } = await usages(domain);
    expect(usage).toBe(window);
  },
);

test("Fail-closed: a summary of a session that was deleted says nothing about one that took its name", async () => {
  const gate = new Gate();
  await using domain = await openFull({ httpSummariser: gate });
  const compaction = compact(domain);
  await gate.asked.promise;
  await remove(domain);
  await open(domain, { compaction: { ...http, manual: true } });
  await talk(domain, { turns: 40, tokens: 100 });
  const before = bytesOf(await domain.window(everything));
  gate.answer.resolve("They talked.");
  await expect(compaction).rejects.toThrow(CompactionStaleError);
  await expectUnchanged(domain, before);
});

test("Fail-closed: a summary of a call that was amended meanwhile does not take its place", async () => {
  const gate = new Gate();
  await using domain = await openTestDomain({ httpSummariser: gate });
  await open(domain, { compaction: { ...http, manual: true } });
  await say(domain, userText("begin"), call("c1"), result("c1"));
  await talk(domain, { turns: 40, tokens: 100 });
  const compaction = compact(domain);
  await gate.asked.promise;
  await amend(domain, 3, text(70));
  gate.answer.resolve("They talked.");
  await expect(compaction).rejects.toThrow(CompactionStaleError);
  await expectUnchanged(domain, []);
  const again = await compact(domain, { strategy: CompactionStrategy.EXTRACT });
  expect(again.compaction).toBeDefined();
  // One that stays, or has left, is none of it.
  await say(domain, call("c2"), result("c2"));
  const { headRevision } = await domain.get(sessionId);
  const next = new Gate();
  Object.assign(gate, { asked: next.asked, answer: next.answer });
  const late = compact(domain, { targetRatio: 0.2 });
  await gate.asked.promise;
  await amend(domain, 3, text(90));
  await amend(domain, headRevision - 1, text(80));
  gate.answer.resolve("They went on.");
  expect((await late).compaction?.summary).toBe("They went on.");
  const standing = await usages(domain);
  expect(standing.usage).toBe(standing.window);
});

test("Fail-closed: of two compactions the first counts", async () => {
  const gate = new Gate();
  await using domain = await openFull({ httpSummariser: gate });
  const slow = compact(domain);
  await gate.asked.promise;
  await compact(domain, { strategy: CompactionStrategy.EXTRACT });
  const window = bytesOf(await domain.window(everything));
  gate.answer.resolve("They talked.");
  await expect(slow).rejects.toThrow(CompactionStaleError);
  expect(bytesOf(await domain.window(everything))).toEqual(window);
});

test("appends and windows wait for no summariser, and what was appended stays behind the summary", async () => {
  const gate = new Gate();
  await using domain = await openTestDomain({ httpSummariser: gate });
  await open(domain, { compaction: http });
  for (let turn = 0; turn < 8; turn++) {
    await domain.append({ sessionId, events: [userText(text(1_000, turn))] });
  }
  await gate.asked.promise;
  // The summariser answers when all of this is done.
  await domain.append({ sessionId, events: [userText("and meanwhile")] });
  const meanwhile = await domain.window(everything);
  expect(meanwhile.items).toHaveLength(9);
  expect(summaryIn(meanwhile)).toBeUndefined();
  await domain.append({ sessionId, events: [userText("and more")] });
  gate.answer.resolve("They talked.");
  await domain.settled();
  const after = await domain.window(everything);
  expect(summaryIn(after)).toContain("They talked.");
  expect(bytesOf(after).at(-2)).toBe(bytesOf(meanwhile).at(-1));
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
});

test("Fail-closed: a compaction that starts by itself and fails is told, and tried again when the window has grown", async () => {
  const errors: unknown[] = [];
  let asked = 0;
  await using domain = await openTestDomain({
    httpSummariser: {
      summarise: async () => {
        asked++;
        if (asked < 3) throw new SummariserFailedError("busy");
        return "They talked.";
      },
    },
    onCompactionError: (error) => errors.push(error),
  });
  await open(domain, { compaction: http });
  for (let turn = 0; turn < 8; turn++) await say(domain, userText(text(1_000, turn)));
  expect(asked).toBe(1);
  // 2 % of the room.
  await say(domain, userText(text(159)));
  expect(asked).toBe(1);
  await say(domain, userText("!"));
  expect(asked).toBe(2);
  expect((await domain.window({ sessionId })).tokens?.total).toBeLessThanOrEqual(8_000);
  await say(domain, userText(text(160)));
  expect(await compactionsOf(domain)).toHaveLength(1);
  expect(errors).toHaveLength(2);
});

test("a domain that closes gives up the summaries it waits for", async () => {
  const gate = new Gate();
  const errors: unknown[] = [];
  const onCompactionError = (error: unknown) => errors.push(error);
  const domain = await openTestDomain({ httpSummariser: gate, onCompactionError });
  await open(domain, { compaction: http });
  for (let turn = 0; turn < 8; turn++) {
    await domain.append({ sessionId, events: [userText(text(1_000, turn))] });
  }
  await gate.asked.promise;
  await domain.close();
  expect(await compactionsOf(domain)).toHaveLength(0);
  expect(errors).toEqual([]);
  await domain.store.close();
});

test("a compaction is stale when a group that it spares has lost its protection meanwhile", async () => {
  const gate = new Gate();
  await using domain = await openTestDomain({ httpSummariser: gate });
  await open(domain, { tokenBudget: 3_000, compaction: { manual: true } });
  await talk(domain, { turns: 6, tokens: 150 });
  await compact(domain, { strategy: CompactionStrategy.DROP, targetRatio: 0.3 });
  await protect(domain, [4]);
  await talk(domain, { turns: 6, tokens: 150, from: 10 });
  const compacting = compact(domain, { ...http, targetRatio: 0.3 });
  await gate.asked.promise;
  await protect(domain, [4], { unprotect: true });
  gate.answer.resolve("what was said");
  await expect(compacting).rejects.toThrow(CompactionStaleError);
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
});
