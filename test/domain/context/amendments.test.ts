import { create, toJsonString } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  AmendmentSchema,
  Dialect,
  type Event,
  ListStepsRequestSchema,
  RawItemSchema,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  EventTooLargeError,
  InvalidFieldError,
  NamespaceFullError,
  ProtectedBudgetExceededError,
  RevisionConflictError,
  SessionEndedError,
  SessionNotFoundError,
  TooManyAmendmentsError,
} from "../../../src/errors.ts";
import { limits } from "../../../src/limits.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { exported, imported, storedAs } from "../bundles/support.ts";
import { fork } from "../history/support.ts";
import { verify } from "../upkeep/support.ts";
import {
  amend,
  assistantText,
  call,
  compact,
  end,
  everything,
  manual,
  open,
  protect,
  result,
  revert,
  say,
  sessionId,
  summaryIn,
  talk,
  text,
  usages,
} from "./compaction/support.ts";

const before = '{"city":"Moscow"}';
const after = '{"city": "Rome", "days": 3}';

/** A session with a call at revision 3 and its result. */
async function called(domain: TestDomain): Promise<void> {
  await open(domain, manual);
  await say(domain, userText("book it"), call("c1", before), result("c1"), assistantText("done"));
}

/** Arguments of the calls that a window shows, by revision. */
async function shown(domain: TestDomain, of = sessionId): Promise<Record<number, string>> {
  const { items } = await domain.window({ ...everything, sessionId: of });
  return Object.fromEntries(items.flatMap(({ event }) => (event ? argumentsOf(event) : [])));
}

function argumentsOf({ payload, revision }: Event): [number, string][] {
  return payload.case === "toolCall" ? [[revision, payload.value.arguments]] : [];
}

async function expectMeasured(domain: TestDomain): Promise<void> {
  const { usage, window } = await usages(domain);
  expect(usage).toBe(window);
}

describe("an amendment", () => {
  test("gives a call other arguments in windows; the log shows both events as they are", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    const log = await domain.log(sessionId);
    const { windowTokens = 0 } = (await amend(domain, 3, before)).contextUsage ?? {};
    expect(await domain.log(sessionId)).toEqual(log);
    const answer = await amend(domain, 3, after);
    expect(answer.revision).toBe(6);
    const growth = after.length - before.length;
    expect(answer.contextUsage?.windowTokens).toBe(windowTokens + growth);
    const now = await domain.log(sessionId);
    expect(now.slice(0, 5)).toEqual(log);
    expect(now[5]).toMatchObject({
      revision: 6,
      group: 0,
      step: 0,
      tokens: { count: `f\n${after}`.length },
      payload: { case: "amendment", value: { revision: 3, arguments: after } },
    });
    expect(await shown(domain)).toEqual({ 3: after });
    await expectMeasured(domain);
  });

  test("replaces the one before; the newest arguments again change nothing", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    await amend(domain, 3, after);
    expect(await amend(domain, 3, "")).toMatchObject({ revision: 7 });
    expect(await shown(domain)).toEqual({ 3: "" });
    expect(await amend(domain, 3, "")).toMatchObject({ revision: 0 });
    // Those that the model wrote are no longer those it has.
    expect(await amend(domain, 3, before)).toMatchObject({ revision: 8 });
    expect(await shown(domain)).toEqual({ 3: before });
    const { head } = await storedAs(domain, sessionId);
    expect(head.context?.amendedCalls).toMatchObject([{ revision: 3, amendmentRevision: 8 }]);
    await expectMeasured(domain);
  });

  test("counts as an event with its tokens, on neither side of the model, and is no step", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    const { metrics: old } = await domain.get(sessionId);
    await amend(domain, 3, after);
    const { metrics } = await domain.get(sessionId);
    const { events = 0, steps, toolCalls, tokens } = old ?? {};
    expect(metrics).toMatchObject({ events: events + 1, steps, toolCalls });
    expect(metrics?.tokens).toMatchObject({
      total: (tokens?.total ?? 0) + `f\n${after}`.length,
      input: tokens?.input,
      output: tokens?.output,
    });
    expect((await verify(domain.store)).findings).toEqual([]);
  });

  test("before the result comes is shown with it, and with what stands in for it", async () => {
    await using domain = await openTestDomain();
    await open(domain, manual);
    await say(domain, userText("book it"), call("c1", before));
    await amend(domain, 3, after);
    const { items } = await domain.window(everything);
    expect(items.map(({ reason }) => reason)).toContain("no_result");
    expect(await shown(domain)).toEqual({ 3: after });
    await say(domain, result("c1"));
    const [, called, answered] = (await domain.window(everything)).items;
    expect([called, answered].map((item) => item?.event?.callRevision)).toEqual([3, 3]);
    await expectMeasured(domain);
  });

  test("changes the beginning of a window, and the prefix says so", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    const { prefixHash: knownPrefixHash } = await domain.window(everything);
    await amend(domain, 3, after);
    expect(await domain.window({ ...everything, knownPrefixHash })).toMatchObject({
      prefixChanged: true,
      prefixChangeReason: "amendment",
    });
  });
});

describe("in a provider's form", () => {
  const signature = "c2lnbmF0dXJl";
  const raw = (format: string, json: unknown) =>
    create(RawItemSchema, { format, json: JSON.stringify(json) });
  const forms = {
    [Dialect.OPENAI_CHAT]: raw("openai-chat", {
      role: "assistant",
      tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: before } }],
    }),
    [Dialect.OPENAI_RESPONSES]: raw("openai-responses", {
      type: "function_call",
      call_id: "c1",
      name: "f",
      arguments: before,
    }),
    [Dialect.ANTHROPIC_MESSAGES]: raw("anthropic-messages", {
      type: "tool_use",
      id: "c1",
      name: "f",
      input: JSON.parse(before),
    }),
    [Dialect.GEMINI]: raw("gemini", {
      functionCall: { name: "f", args: JSON.parse(before) },
      thoughtSignature: signature,
    }),
  } as const;

  test.each(
    [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES, Dialect.GEMINI].map(
      (dialect) => ({ name: Dialect[dialect], dialect }),
    ),
  )(
    "$name: nothing is left of the old arguments, nor of a signature over them",
    async ({ dialect }) => {
      await using domain = await openTestDomain();
      await open(domain, manual);
      const own = { ...call("c1", before), raw: forms[dialect as keyof typeof forms] };
      await say(domain, userText("book it"), own, result("c1"));
      const rendered = async () => {
        const window = await domain.window({ ...everything, dialect });
        expect(window.tokens?.total).toBeGreaterThan(0);
        return toJsonString(ValueSchema, window.rendered ?? create(ValueSchema));
      };
      const old = await rendered();
      expect(old).toContain("Moscow");
      expect(old.includes(signature)).toBe(dialect === Dialect.GEMINI);
      await amend(domain, 3, after);
      const now = await rendered();
      expect(now).toContain("Rome");
      expect(now).not.toMatch(new RegExp(`Moscow|${signature}`));
      const { items } = await domain.window({ ...everything, dialect });
      expect(items.every(({ event }) => event?.raw === undefined)).toBe(true);
    },
  );

  test("another agent's call is told with the arguments it has now", async () => {
    await using domain = await openTestDomain();
    await open(domain, manual);
    await say(domain, userText("book it"), call("c1", before, "planner"), result("c1"));
    await amend(domain, 3, after);
    const { items } = await domain.window({ ...everything, agent: "booker" });
    expect(JSON.stringify(items.map(({ event }) => event?.payload))).toContain(
      JSON.stringify(`[planner] called f with ${after}`),
    );
  });
});

describe("a step", () => {
  test("has the arguments that its call has now, and so has that of its result", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    await amend(domain, 3, after);
    const inputs = async (pageSize: number) => {
      let pageToken = "";
      const all: string[] = [];
      do {
        const request = create(ListStepsRequestSchema, { sessionId, pageSize, pageToken });
        const { steps, nextPageToken } = await domain.steps.list(request);
        all.push(...steps.map(({ input }) => input));
        pageToken = nextPageToken;
      } while (pageToken !== "");
      return all;
    };
    expect(await inputs(50)).toEqual([after, after]);
    expect(await inputs(1)).toEqual([after, after]);
  });
});

describe("beside compactions and protection", () => {
  test("a covered call changes no window, until the compaction is taken back", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    await talk(domain, { turns: 10, tokens: 100 });
    await compact(domain, { targetRatio: 0.01 });
    const covered = await usages(domain);
    const summary = summaryIn(await domain.window(everything));
    await amend(domain, 3, after);
    await amend(domain, 3, text(700));
    expect(await usages(domain)).toEqual(covered);
    expect(summaryIn(await domain.window(everything))).toBe(summary);
    await revert(domain);
    expect(await shown(domain)).toEqual({ 3: text(700) });
    await expectMeasured(domain);
    // What a compaction measured with the new arguments comes back as often as it is taken back.
    await compact(domain, { targetRatio: 0.01 });
    await revert(domain);
    await expectMeasured(domain);
  });

  test("a summary that is made later is of the arguments a call has then", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    await amend(domain, 3, '{"city":"Ouagadougou"}');
    await talk(domain, { turns: 10, tokens: 600 });
    const { compaction } = await compact(domain, { targetRatio: 0.1 });
    expect(compaction?.summary).not.toContain("Moscow");
  });

  test.each([
    [
      "amended, protected",
      async (domain: TestDomain) => {
        await amend(domain, 3, after);
        await protect(domain, [3]);
      },
    ],
    [
      "protected, amended",
      async (domain: TestDomain) => {
        await protect(domain, [3]);
        await amend(domain, 3, after);
      },
    ],
    [
      "protected, amended, compacted again",
      async (domain: TestDomain) => {
        await protect(domain, [3]);
        await amend(domain, 3, after);
        await talk(domain, { turns: 5, tokens: 100 });
        await compact(domain, { targetRatio: 0.01 });
        await amend(domain, 3, text(333));
      },
    ],
    [
      "amended, protected, unprotected",
      async (domain: TestDomain) => {
        await amend(domain, 3, after);
        await protect(domain, [3]);
        await protect(domain, [3], { unprotect: true });
        await amend(domain, 3, text(60));
      },
    ],
  ])(
    "a covered call that is %s has its tokens counted once, and when all is taken back",
    async (_, live) => {
      await using domain = await openTestDomain();
      await called(domain);
      await talk(domain, { turns: 10, tokens: 100 });
      await compact(domain, { targetRatio: 0.01 });
      await live(domain);
      await expectMeasured(domain);
      while ((await storedAs(domain, sessionId)).head.context?.compaction) {
        await revert(domain);
        await expectMeasured(domain);
      }
    },
  );

  test("a protected call may grow up to the share that protected events have", async () => {
    await using domain = await openTestDomain();
    await open(domain, { ...manual, protectedTokenBudget: 100 });
    await say(domain, userText("book it"), call("c1", before), result("c1"));
    await protect(domain, [3]);
    await amend(domain, 3, "x".repeat(98));
    await expect(amend(domain, 3, "x".repeat(99))).rejects.toThrow(ProtectedBudgetExceededError);
    expect(await shown(domain)).toEqual({ 3: "x".repeat(98) });
    const { protected: guarded } = (await storedAs(domain, sessionId)).head.context ?? {};
    expect(guarded?.find(({ revision }) => revision === 3)?.tokens).toBe(100);
    await expectMeasured(domain);
  });

  test("a query that brings a covered call back shows the arguments it has now", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    await talk(domain, { turns: 10, tokens: 100 });
    await compact(domain, { targetRatio: 0.01 });
    await amend(domain, 3, after);
    const { items } = await domain.window({ ...everything, query: "Moscow" });
    const calls = items.flatMap(({ event }) => (event ? argumentsOf(event) : []));
    expect(calls).toEqual([[3, after]]);
  });

  test("a session that has another model by now is measured in its count", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, model: "gpt-4o", contextPolicy: manual } });
    await say(domain, userText("book it"), call("c1", before), result("c1"));
    const session = { sessionId, model: "claude-sonnet-4" };
    await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
    await amend(domain, 3, after);
    await expectMeasured(domain);
    await amend(domain, 3, before);
    await expectMeasured(domain);
  });
});

describe("a fork", () => {
  test("has the arguments that a call had at its revision, and amends for itself", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    await amend(domain, 3, after);
    await say(domain, userText("and then?"));
    await fork(domain, { sessionId, revision: 5, newSessionId: "before" });
    await fork(domain, { sessionId, revision: 6, newSessionId: "after" });
    expect(await shown(domain, "before")).toEqual({ 3: before });
    expect(await shown(domain, "after")).toEqual({ 3: after });
    await amend(domain, 3, "{}", { sessionId: "after" });
    await amend(domain, 3, "[]", { sessionId: "before" });
    expect(await shown(domain, "before")).toEqual({ 3: "[]" });
    expect(await shown(domain, "after")).toEqual({ 3: "{}" });
    expect(await shown(domain)).toEqual({ 3: after });
    expect((await verify(domain.store)).findings).toEqual([]);
    const restarted = await openTestDomain({ store: domain.store });
    expect(await shown(restarted, "after")).toEqual({ 3: "{}" });
    await restarted.close();
  });
});

describe("what cannot be amended", () => {
  test("is refused by what is there, and changes nothing", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    const refused = async (revision: number) => {
      const error = await amend(domain, revision, after).catch((failure: unknown) => failure);
      expect(error).toBeInstanceOf(InvalidFieldError);
      const [violation] = (error as InvalidFieldError).violations;
      expect(violation?.field).toBe("revision");
      return violation?.description;
    };
    expect(await refused(0)).toContain("required");
    expect(await refused(1)).toContain("revision 1 is session_started");
    expect(await refused(2)).toContain("revision 2 is message");
    expect(await refused(4)).toContain("its tool_call is at revision 3");
    expect(await refused(6)).toContain("which has revisions 1 to 5");
    expect(await refused(0xffff_ffff)).toContain("is not in the log");
    expect(await domain.log(sessionId)).toHaveLength(5);
    await expect(amend(domain, 3, after, { sessionId: "nobody" })).rejects.toThrow(
      SessionNotFoundError,
    );
    await expect(amend(domain, 3, after, { expectedRevision: 4 })).rejects.toThrow(
      RevisionConflictError,
    );
    await expect(amend(domain, 3, "x".repeat(limits.eventBytes))).rejects.toThrow(
      EventTooLargeError,
    );
    await amend(domain, 3, after, { expectedRevision: 5 });
    await end(domain);
    await expect(amend(domain, 3, before)).rejects.toThrow(SessionEndedError);
    expect(await shown(domain)).toEqual({ 3: after });
  });

  test("is a call whose arguments the namespace has no room for", async () => {
    let storedBytes = 1_000_000;
    const quotaOf = () => ({ whenFull: "refuse" as const, minIdleMs: 0, storedBytes });
    await using domain = await openTestDomain({ quotaOf });
    await called(domain);
    storedBytes = ((await domain.get(sessionId)).metrics?.storedBytes ?? 0) + 200;
    await expect(amend(domain, 3, "x".repeat(300))).rejects.toThrow(NamespaceFullError);
    expect(await domain.log(sessionId)).toHaveLength(5);
    expect((await amend(domain, 3, "x".repeat(50))).revision).toBe(6);
  });

  test("is one call more than a session may have amended", async () => {
    await using domain = await openTestDomain();
    await open(domain, manual);
    const count = limits.amendedCalls + 1;
    for (let first = 0; first < count; first += 500) {
      const length = Math.min(500, count - first);
      const events = Array.from({ length }, (_, index) => call(`c${first + index}`));
      await domain.append({ sessionId, events });
    }
    for (let index = 0; index < limits.amendedCalls; index++) await amend(domain, 2 + index, "[]");
    await expect(amend(domain, 1 + count, "[]")).rejects.toThrow(TooManyAmendmentsError);
    // Nor does a bundle bring one more.
    const parts = await exported(domain, sessionId);
    const events = parts.flatMap(({ part }) => (part.case === "events" ? [part.value.events] : []));
    const last = events.at(-1)?.at(-1);
    if (last === undefined) throw new Error("the bundle has no events");
    const value = create(AmendmentSchema, { revision: 1 + count, arguments: "[]" });
    const revision = last.revision + 1;
    events.at(-1)?.push({ ...last, revision, payload: { case: "amendment", value } });
    await expect(imported(domain, parts, { sessionId: "copy" })).rejects.toMatchObject({
      reason: "IMPORT_INVALID",
      message: expect.stringContaining("amends more calls than a session may have"),
    });
    expect((await amend(domain, 2, '"again"')).revision).toBe(1 + count + limits.amendedCalls + 1);
    expect((await verify(domain.store)).findings).toEqual([]);
  }, 60_000);
});

describe("at once", () => {
  test("amendments of one call and of others all come into force, the last one in the end", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    await say(domain, call("c2", before), result("c2"));
    const texts = Array.from({ length: 20 }, (_, at) => `{"at":${10 ** (at % 10)},"of":${at}}`);
    const answers = await Promise.all(
      texts.flatMap((value) => [amend(domain, 3, value), amend(domain, 6, value)]),
    );
    expect(new Set(answers.map(({ revision }) => revision)).size).toBe(40);
    const log = await domain.log(sessionId);
    const newest = (of: number) =>
      log.findLast(({ payload }) => payload.case === "amendment" && payload.value.revision === of)
        ?.payload.value;
    const found = await shown(domain);
    expect(newest(3)).toMatchObject({ arguments: found[3] });
    expect(newest(6)).toMatchObject({ arguments: found[6] });
    await expectMeasured(domain);
  });

  test.each(["protect", "unprotect", "revert"] as const)(
    "amendments of a covered call and a %s of it are counted once",
    async (what) => {
      for (let ahead = 0; ahead < 12; ahead++) {
        await using domain = await openTestDomain();
        await called(domain);
        await talk(domain, { turns: 10, tokens: 100 });
        await compact(domain, { targetRatio: 0.01 });
        if (what !== "protect") await protect(domain, [3]);
        const change = amend(domain, 3, text(400));
        // Some turns of the event loop later, so that the two meet at every place.
        for (let turn = 0; turn < ahead; turn++) await Promise.resolve();
        const other =
          what === "revert"
            ? revert(domain)
            : protect(domain, [3], { unprotect: what === "unprotect" });
        await Promise.all([change, other]);
        await expectMeasured(domain);
      }
    },
  );

  test("Idempotent: a request that is repeated has one effect and gets the first answer", async () => {
    await using domain = await openTestDomain();
    await called(domain);
    const request = { requestId: "r1" };
    const [first, twin] = await Promise.all([
      amend(domain, 3, after, request),
      amend(domain, 3, after, request),
    ]);
    expect(twin).toEqual(first);
    await amend(domain, 3, before);
    expect(await amend(domain, 3, after, request)).toEqual(first);
    expect(await shown(domain)).toEqual({ 3: before });
    // One that had no effect has none later.
    const nothing = { requestId: "r2" };
    expect((await amend(domain, 3, before, nothing)).revision).toBe(0);
    await amend(domain, 3, "{}");
    expect((await amend(domain, 3, before, nothing)).revision).toBe(0);
    expect(await shown(domain)).toEqual({ 3: "{}" });
  });
});

test("a protection at once with an amendment counts the arguments of then", async () => {
  for (let ticks = 0; ticks < 40; ticks++) {
    await using domain = await openTestDomain();
    await open(domain, { tokenBudget: 100_000, ...manual });
    await say(domain, userText("a"), call("c"), result("c"));
    const amending = amend(domain, 3, "x".repeat(50));
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
    const protecting = protect(domain, [3, 2]);
    await Promise.all([amending, protecting]);
    const stored = await domain.store.getSession({ namespace: "default", sessionId });
    const kept = stored?.head.context?.protected.find(({ revision }) => revision === 3);
    expect(kept?.tokens).toBe(52);
  }
});
