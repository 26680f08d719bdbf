import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CompactionStrategy,
  type Event,
  ListEventsRequestSchema,
  ListStepsRequestSchema,
  SetProtectionRequestSchema,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { beforeEach, describe, expect, test } from "vitest";
import {
  CallHiddenError,
  CompactionStaleError,
  InvalidFieldError,
  RevisionConflictError,
  RevisionOutOfRangeError,
  RewindCrossesEndError,
  RewindsFullError,
  SessionEndedError,
} from "../../../src/errors.ts";
import { limits } from "../../../src/limits.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import {
  assistantText,
  call,
  compact,
  end,
  everything,
  open,
  protect,
  result,
  revert,
  say,
  sessionId,
  talk,
  usages,
} from "../context/compaction/support.ts";
import { kindsOf, reopen } from "../lifecycle/support.ts";
import { verify } from "../upkeep/support.ts";
import { fork, rewind } from "./support.ts";

let domain: TestDomain;

beforeEach(async () => {
  domain = await openTestDomain();
  await open(domain, { compaction: { manual: true } });
  return () => domain[Symbol.asyncDispose]();
});

const to = (revision: number) => ({ to: { case: "revision", value: revision } }) as const;
const groups = (count: number) => ({ to: { case: "groups", value: count } }) as const;

async function list(query: MessageInitShape<typeof ListEventsRequestSchema> = {}) {
  const request = create(ListEventsRequestSchema, { sessionId, pageSize: 1_000, ...query });
  return domain.events.list(request);
}

async function revisions(query: MessageInitShape<typeof ListEventsRequestSchema> = {}) {
  return (await list(query)).events.map(({ revision }) => revision);
}

async function inWindow(): Promise<number[]> {
  const { items } = await domain.window(everything);
  return items.flatMap(({ event }) => (event?.revision ? [event.revision] : []));
}

describe("a rewind", () => {
  // 1 started, 2 user, 3 call, 4 result, 5 answer, 6 user, 7 answer
  beforeEach(() =>
    say(
      domain,
      userText("go"),
      call("a"),
      result("a"),
      assistantText("done"),
      userText("more"),
      assistantText("that is all"),
    ),
  );

  test("hides newer events from windows, lists and steps; the log keeps them", async () => {
    expect(await rewind(domain, to(2))).toMatchObject({ revision: 8, visibleThrough: 2 });
    expect(await inWindow()).toEqual([2]);
    expect(await revisions()).toEqual([1, 2, 8]);
    expect(await revisions({ includeHidden: true })).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const { steps } = await domain.steps.list(create(ListStepsRequestSchema, { sessionId }));
    expect(steps).toEqual([]);
    const all = create(ListStepsRequestSchema, { sessionId, includeHidden: true });
    expect((await domain.steps.list(all)).steps.map(({ number }) => number)).toEqual([1, 2]);
    const { usage, window } = await usages(domain);
    expect(usage).toBe(window);
    expect(usage).toBe("go".length);
  });

  test("pages of visible events are full, in both orders", async () => {
    await rewind(domain, to(2));
    await say(domain, assistantText("else"), userText("on"));
    const pages = async (order: number) => {
      const all: number[][] = [];
      let pageToken = "";
      do {
        const page = await list({ order, pageSize: 2, pageToken });
        all.push(page.events.map(({ revision }) => revision));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return all;
    };
    expect(await pages(1)).toEqual([[1, 2], [8, 9], [10]]);
    expect(await pages(2)).toEqual([[10, 9], [8, 2], [1]]);
    expect(await revisions({ firstRevision: 4, lastRevision: 7 })).toEqual([]);
  });

  test("never parts a call from its result: it is rounded down", async () => {
    expect(await rewind(domain, to(3))).toMatchObject({ visibleThrough: 2 });
    expect(await revisions()).toEqual([1, 2, 8]);
  });

  test("is counted, and refunds nothing", async () => {
    const before = await domain.get(sessionId);
    await rewind(domain, to(2));
    await say(domain, call("b"));
    const after = await domain.get(sessionId);
    expect(after.metrics).toMatchObject({ events: 9, messages: 4, steps: 3, toolCalls: 2 });
    expect(after.metrics?.tokens?.total).toBeGreaterThan(before.metrics?.tokens?.total ?? 0);
    expect((await list()).events.at(-1)).toMatchObject({ step: 3, turn: 0 });
  });

  test("of groups hides so many of them, and all where there are fewer", async () => {
    expect(await rewind(domain, groups(1))).toMatchObject({ visibleThrough: 6 });
    expect(await inWindow()).toEqual([2, 3, 4, 5, 6]);
    expect(await rewind(domain, groups(2))).toMatchObject({ visibleThrough: 4 });
    expect(await inWindow()).toEqual([2, 3, 4]);
    expect(await rewind(domain, groups(9))).toMatchObject({ revision: 10, visibleThrough: 1 });
    expect(await inWindow()).toEqual([]);
    expect(await rewind(domain, groups(1))).toMatchObject({ revision: 0 });
  });

  test("to just before a rewind is a redo", async () => {
    const before = await domain.window(everything);
    await rewind(domain, to(2));
    await say(domain, assistantText("else"));
    expect(await rewind(domain, to(7))).toMatchObject({ revision: 10, visibleThrough: 7 });
    expect((await domain.window(everything)).items).toEqual(before.items);
    expect(await rewind(domain, to(9))).toMatchObject({ revision: 11, visibleThrough: 9 });
    expect(await inWindow()).toEqual([2, 9]);
    expect(await revisions()).toEqual([1, 2, 8, 9, 11]);
  });

  test("to the head, and a request repeated, change nothing", async () => {
    expect(await rewind(domain, to(7))).toMatchObject({ revision: 0, visibleThrough: 7 });
    const first = await rewind(domain, { ...to(5), requestId: "r" });
    expect(await rewind(domain, { ...to(5), requestId: "r" })).toEqual(first);
    expect((await domain.get(sessionId)).headRevision).toBe(8);
  });

  test("that would hide nothing is none, so that the one before it can be taken back", async () => {
    await rewind(domain, to(1));
    expect(await rewind(domain, to(1))).toMatchObject({ revision: 0, visibleThrough: 8 });
    const redo = { to: { case: "redo", value: true } } as const;
    expect(await rewind(domain, redo)).toMatchObject({ revision: 9, visibleThrough: 7 });
    expect(await inWindow()).toEqual([2, 3, 4, 5, 6, 7]);
  });

  test("of everything lets the first message be one of turn 0 again", async () => {
    await rewind(domain, to(1));
    await say(domain, userText("anew"), userText("and on"));
    expect((await list()).events.map(({ turn }) => turn)).toEqual([0, 0, 0, 1]);
  });

  test("begins a turn again where it leads", async () => {
    await rewind(domain, to(5));
    await say(domain, userText("another way"));
    expect((await list()).events.map(({ turn }) => turn)).toEqual([0, 0, 0, 0, 0, 0, 1]);
  });

  test("a watch shows the log whole, and the rewind in it", async () => {
    await rewind(domain, to(2));
    const seen: Event[] = [];
    const stop = new AbortController();
    for await (const { message } of domain.watch({ sessionId }, stop.signal)) {
      if (message.case === "events") seen.push(...message.value.events);
      if (seen.length === 8) break;
    }
    expect(seen.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(seen.at(-1)?.payload).toMatchObject({ case: "rewind", value: { revision: 2 } });
  });

  test("many rewinds of one place leave one stretch", async () => {
    for (let n = 0; n < 20; n++) {
      await rewind(domain, groups(1));
      await say(domain, assistantText(`try ${n}`));
    }
    const stored = await domain.store.getSession({ namespace: "default", sessionId });
    expect(stored?.head.context?.hidden).toHaveLength(1);
    expect(await inWindow()).toEqual([2, 3, 4, 5, 6, (await domain.get(sessionId)).headRevision]);
  });

  test("Bounded: separate stretches are limited by name", async () => {
    for (let n = 0; n < limits.hiddenRanges; n++) {
      await rewind(domain, groups(1));
      await domain.append({ sessionId, events: [userText("q"), assistantText("a")] });
    }
    await expect(rewind(domain, groups(1))).rejects.toThrow(RewindsFullError);
    expect((await rewind(domain, to(5))).visibleThrough).toBe(5);
  });
});

describe("protection and compactions", () => {
  test("are hidden with their events, and come back with a redo", async () => {
    await talk(domain, { turns: 4, tokens: 100 });
    await protect(domain, [5]);
    const before = await domain.window(everything);
    await compact(domain, { strategy: CompactionStrategy.DROP, targetRatio: 0.01 });
    const compacted = await domain.window(everything);
    await rewind(domain, to(9));
    expect((await domain.get(sessionId)).metrics).toMatchObject({ protectedEvents: 1 });
    expect((await domain.get(sessionId)).metrics?.compactions).toBeUndefined();
    expect((await domain.window(everything)).items.some(({ event }) => event?.revision === 5)).toBe(
      true,
    );
    await rewind(domain, to(11));
    expect((await domain.window(everything)).items).toEqual(compacted.items);
    expect((await domain.get(sessionId)).metrics?.compactions?.count).toBe(1);
    await revert(domain);
    expect((await domain.window(everything)).items).toEqual(before.items);
    expect(await usages(domain).then(({ usage, window }) => usage - window)).toBe(0);
  });

  test("of what is hidden cannot be changed", async () => {
    await talk(domain, { turns: 2, tokens: 10 });
    await rewind(domain, to(3));
    const request = create(SetProtectionRequestSchema, { sessionId, revisions: [2, 4] });
    await expect(domain.protections.set(request)).rejects.toThrow(
      new InvalidFieldError({
        field: "revisions[1]",
        description: "is hidden by a rewind, so no window shows it",
      }),
    );
  });

  test("a compaction that was planned before a rewind is stale", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<string>();
    const httpSummariser = {
      summarise: () => {
        asked.resolve();
        return answer.promise;
      },
    };
    await using slow = await openTestDomain({ httpSummariser });
    await open(slow, { compaction: { manual: true } });
    await talk(slow, { turns: 4, tokens: 100 });
    const compacting = compact(slow, { strategy: CompactionStrategy.HTTP, targetRatio: 0.01 });
    await asked.promise;
    await rewind(slow, to(7));
    answer.resolve("what was said");
    await expect(compacting).rejects.toThrow(CompactionStaleError);
    expect((await slow.get(sessionId)).metrics?.compactions).toBeUndefined();
  });
});

describe("calls", () => {
  test("that were open when they were hidden take no result, whole batch", async () => {
    await say(domain, userText("go"), call("a"), userText("wait"));
    await rewind(domain, to(2));
    const late = [assistantText("so"), result("a")];
    await expect(domain.append({ sessionId, events: late })).rejects.toThrow(CallHiddenError);
    expect((await domain.get(sessionId)).headRevision).toBe(5);
    await rewind(domain, to(4));
    await say(domain, result("a"));
    expect(kindsOf((await list()).events).at(-1)).toBe("toolResult");
    expect((await list()).events.at(-1)?.callRevision).toBe(3);
  });

  test("of the same id may be made anew", async () => {
    await say(domain, userText("go"), call("a"));
    await rewind(domain, to(2));
    await say(domain, call("a"), result("a"));
    expect((await list()).events.at(-1)?.callRevision).toBe(5);
    // A second result, as models send it that use their ids again, answers nothing.
    await say(domain, result("a"));
    expect((await list()).events.at(-1)).toMatchObject({ callRevision: 0, group: 0 });
  });
});

describe("refused, and nothing changed", () => {
  test.each([
    ["a revision beyond the head", to(9), RevisionOutOfRangeError],
    ["revision 0", to(0), RevisionOutOfRangeError],
    ["no groups", groups(0), InvalidFieldError],
    ["nothing said", {}, InvalidFieldError],
    ["another revision than expected", { ...to(1), expectedRevision: 2 }, RevisionConflictError],
  ])("%s", async (_, request, error) => {
    await say(domain, userText("go"), userText("on"));
    await expect(rewind(domain, request)).rejects.toThrow(error);
    expect((await domain.get(sessionId)).headRevision).toBe(3);
  });

  test("an ended session, and a way across an end", async () => {
    await say(domain, userText("go"));
    await end(domain);
    await expect(rewind(domain, to(1))).rejects.toThrow(SessionEndedError);
    await reopen(domain, { sessionId });
    await expect(rewind(domain, to(2))).rejects.toThrow(RewindCrossesEndError);
    await expect(rewind(domain, groups(1))).rejects.toThrow(
      "rewind to 3 or later, or fork it at 1",
    );
    await say(domain, userText("again"));
    expect(await rewind(domain, groups(1))).toMatchObject({ visibleThrough: 4 });
  });

  test("a session that has not started", async () => {
    await domain.create({ session: { sessionId: "later" }, deferredStart: true });
    await expect(rewind(domain, { sessionId: "later", ...to(1) })).rejects.toThrow(
      "has no events yet",
    );
    expect(await rewind(domain, { sessionId: "later", ...groups(1) })).toMatchObject({
      revision: 0,
    });
  });
});

describe("at once with others", () => {
  const ticks = async (count: number) => {
    for (let tick = 0; tick < count; tick++) await Promise.resolve();
  };

  test("loses no change, and leaves a head that is that of the log", async () => {
    for (let a = 0; a < 12; a++) {
      for (let b = 4; b < 20; b += 3) {
        await using own = await openTestDomain();
        await open(own, { compaction: { manual: true } });
        await talk(own, { turns: 3, tokens: 20 });
        const session = { sessionId, title: "new" };
        const update = create(UpdateSessionRequestSchema, { session });
        const calls = await Promise.allSettled([
          ticks(a).then(() => rewind(own, to(3))),
          rewind(own, to(5)),
          ticks(b).then(() => own.append({ sessionId, events: [userText("more")] })),
          ticks(a + b).then(() => own.sessions.update(update)),
        ]);
        const allowed = [RevisionConflictError, RevisionOutOfRangeError];
        for (const call of calls) {
          if (call.status === "rejected") {
            expect(allowed.some((one) => call.reason instanceof one)).toBe(true);
          }
        }
        expect((await own.get(sessionId)).title).toBe("new");
        expect((await verify(own.store)).findings).toEqual([]);
      }
    }
  });
});

test("a fork of a rewound session sees what its parent saw, also of what is hidden by now", async () => {
  await talk(domain, { turns: 3, tokens: 10 });
  await rewind(domain, to(3));
  await say(domain, userText("else"));
  await fork(domain, { sessionId, newSessionId: "now" });
  await fork(domain, { sessionId, revision: 6, newSessionId: "then" });
  const shown = async (id: string) =>
    (await domain.window({ ...everything, sessionId: id })).items.map(
      ({ event }) => event?.revision,
    );
  expect(await shown("now")).toEqual([2, 3, 9]);
  expect(await shown("then")).toEqual([2, 3, 4, 5, 6]);
  expect(await rewind(domain, { sessionId: "then", ...to(4) })).toMatchObject({
    visibleThrough: 4,
  });
  expect(await shown("then")).toEqual([2, 3, 4]);
  expect(await inWindow()).toEqual([2, 3, 9]);
});
