import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  EndSessionRequestSchema,
  EventOrder,
  ListEventsRequestSchema,
  ListStepsRequestSchema,
  SessionParentKind,
  SessionState,
  SetProtectionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  InvalidFieldError,
  RequestIdReusedError,
  RevisionOutOfRangeError,
  SessionAlreadyExistsError,
  SessionNotFoundError,
  SessionQuotaExceededError,
} from "../../../src/errors.ts";
import { limits } from "../../../src/limits.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { exported, imported, storedAs } from "../bundles/support.ts";
import { compact } from "../context/compaction/support.ts";
import { kindsOf, toolCall, toolResult } from "../lifecycle/support.ts";
import { patch, seen } from "../state/support.ts";
import { verify } from "../upkeep/support.ts";
import { fork, remove, rewind } from "./support.ts";

const sessionId = "parent";

/** A session of five events: the start, three texts and a call. */
async function createParent(domain: TestDomain, fields = {}): Promise<void> {
  await domain.create({ session: { sessionId, agentId: "a", goal: "find", ...fields } });
  for (const text of ["one", "two", "three"]) {
    await domain.append({ sessionId, events: [userText(text)] });
  }
  await domain.append({ sessionId, events: [toolCall("c1")] });
}

async function textsOf(domain: TestDomain, id: string): Promise<string[]> {
  const log = await domain.log(id);
  return log.flatMap(({ payload }) => (payload.case === "message" ? [payload.value.text] : []));
}

test("a page of a fork's events is full wherever they are kept", async () => {
  await using domain = await openTestDomain();
  await createParent(domain);
  await fork(domain, { sessionId, revision: 3, newSessionId: "child" });
  await domain.append({ sessionId: "child", events: [userText("four")] });
  await fork(domain, { sessionId: "child", revision: 5, newSessionId: "grandchild" });
  const page = async (query: MessageInitShape<typeof ListEventsRequestSchema>) => {
    const request = create(ListEventsRequestSchema, { sessionId: "grandchild", ...query });
    const { events, nextPageToken } = await domain.events.list(request);
    return { revisions: events.map(({ revision }) => revision), isLast: nextPageToken === "" };
  };
  const order = EventOrder.NEWEST_FIRST;
  expect(await page({})).toEqual({ revisions: [1, 2, 3, 4, 5, 6], isLast: true });
  expect(await page({ pageSize: 4 })).toEqual({ revisions: [1, 2, 3, 4], isLast: false });
  expect(await page({ order })).toEqual({ revisions: [6, 5, 4, 3, 2, 1], isLast: true });
  expect(await page({ order, pageSize: 4 })).toEqual({ revisions: [6, 5, 4, 3], isLast: false });
  expect(await page({ firstRevision: 3, lastRevision: 4 })).toEqual({
    revisions: [3, 4],
    isLast: true,
  });
});

test("Bounded: a page of a fork's events has no more bytes than any other", async () => {
  await using domain = await openTestDomain();
  const text = "x".repeat(400_000);
  await domain.create({ session: { sessionId } });
  await domain.append({ sessionId, events: [userText(text)] });
  await fork(domain, { sessionId, newSessionId: "child" });
  for (let n = 0; n < 2; n++) await domain.append({ sessionId: "child", events: [userText(text)] });
  await fork(domain, { sessionId: "child", newSessionId: "grandchild" });
  const sizes: number[] = [];
  let pageToken = "";
  do {
    const request = create(ListEventsRequestSchema, { sessionId: "grandchild", pageToken });
    const page = await domain.events.list(request);
    sizes.push(page.events.length);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(sizes).toEqual([4, 2]);
});

describe("a fork", () => {
  test("is compacted by a server that has read nothing of it yet", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    const long = Array.from({ length: 30 }, (_, at) =>
      userText(`${at} ${"and so on ".repeat(20)}`),
    );
    await domain.append({ sessionId, events: long });
    await fork(domain, { sessionId, newSessionId: "child" });
    const restarted = await openTestDomain({ store: domain.store });
    const done = await compact(restarted, { sessionId: "child", targetRatio: 0.1 });
    expect(done.compaction?.covered[0]?.first).toBeLessThan(30);
    await restarted.close();
  });

  test("shares the log up to its revision and goes on by itself", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    const made = await fork(domain, { sessionId, revision: 3, newSessionId: "child" });
    expect(made).toMatchObject({
      sessionId: "child",
      state: SessionState.ACTIVE,
      agentId: "a",
      goal: "find",
      headRevision: 4,
      parent: { sessionId, revision: 3, kind: SessionParentKind.FORK },
      metrics: { events: 4, messages: 2, turns: 2 },
    });
    await domain.append({ sessionId: "child", events: [userText("other")] });
    await domain.append({ sessionId, events: [toolResult("c1")] });
    expect(await textsOf(domain, "child")).toEqual(["one", "two", "other"]);
    expect(await textsOf(domain, sessionId)).toEqual(["one", "two", "three"]);
    const log = await domain.log("child");
    expect(log.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5]);
    expect(kindsOf(log)[3]).toBe("forked");
    expect(log.at(-1)).toMatchObject({ turn: 2 });
  });

  test("begins at the parent's newest revision unless it says otherwise, with a name of the server's", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    const made = await fork(domain, { sessionId });
    expect(made.parent?.revision).toBe(5);
    expect(made.sessionId).toMatch(/^session-\d{8}-\d{6}-[0-9a-f]{8}$/);
    // The call that was open there is open in the fork, too.
    await domain.append({ sessionId: made.sessionId, events: [toolResult("c1")] });
    const { steps } = await domain.steps.list(
      create(ListStepsRequestSchema, { sessionId: made.sessionId }),
    );
    expect(steps.map(({ revisions }) => revisions)).toEqual([[5], [5, 7]]);
  });

  test("has limits, policy and fields of its own", async () => {
    await using domain = await openTestDomain();
    await createParent(domain, { limits: { maxSteps: 1 }, labels: { team: "a" } });
    expect((await domain.get(sessionId)).state).toBe(SessionState.LIMIT_REACHED);
    const session = { limits: { maxSteps: 2 }, title: "another way" };
    const made = await fork(domain, { sessionId, newSessionId: "child", session });
    expect(made).toMatchObject({ limits: { maxSteps: 2 }, title: "another way", agentId: "a" });
    expect(made.labels).toEqual({ team: "a" });
    const answer = await domain.append({ sessionId: "child", events: [toolResult("c1")] });
    expect(answer.state).toBe(SessionState.LIMIT_REACHED);
  });

  test("lives as long as its own times say, from its creation on", async () => {
    await using domain = await openTestDomain();
    await createParent(domain, { expiry: { ttl: durationFromMs(1_000) } });
    domain.now += 5_000;
    const made = await fork(domain, { sessionId, newSessionId: "child" });
    expect(made).toMatchObject({ state: SessionState.ACTIVE });
    domain.now += 999;
    expect((await domain.get("child")).state).toBe(SessionState.ACTIVE);
    domain.now += 1;
    expect((await domain.get("child")).state).toBe(SessionState.EXPIRED);
  });

  test("has the session's own state of its revision, and shares what others share", async () => {
    await using domain = await openTestDomain();
    await createParent(domain, { userId: "ann" });
    await patch(domain, { theme: "dark", draft: "x", "user:locale": "de" }, { sessionId });
    await patch(domain, { theme: "light", draft: null }, { sessionId });
    await fork(domain, { sessionId, newSessionId: "newest" });
    await fork(domain, { sessionId, revision: 6, newSessionId: "older" });
    await fork(domain, { sessionId, revision: 5, newSessionId: "before" });
    const shared = { "user:locale": "de" };
    expect(await seen(domain, "newest")).toEqual({ theme: "light", ...shared });
    expect(await seen(domain, "older")).toEqual({ theme: "dark", draft: "x", ...shared });
    expect(await seen(domain, "before")).toEqual(shared);
    await patch(domain, { theme: "blue" }, { sessionId: "older" });
    expect(await seen(domain, "newest")).toEqual({ theme: "light", ...shared });
  });

  test("is ACTIVE also when its parent has ended", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    await domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));
    await fork(domain, { sessionId, newSessionId: "child" });
    await domain.append({ sessionId: "child", events: [userText("go on")] });
    expect(await textsOf(domain, "child")).toEqual(["one", "two", "three", "go on"]);
  });

  test("outlives its parent, and the parent's deletion frees what it does not need", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    const { uid } = await domain.get(sessionId);
    await fork(domain, { sessionId, revision: 3, newSessionId: "child" });
    await remove(domain, sessionId);
    expect(await textsOf(domain, "child")).toEqual(["one", "two"]);
    const read = () =>
      domain.store.readEvents({ uid, first: 1, last: 99, maxEvents: 99, maxBytes: 1e6 });
    expect(await read()).toHaveLength(3);
    await remove(domain, "child");
    expect(await read()).toEqual([]);
  });

  test("is watched from its first inherited event on, and from now", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    await fork(domain, { sessionId, revision: 3, newSessionId: "child" });
    const revisions: number[] = [];
    const stop = new AbortController();
    const watch = domain.watch({ sessionId: "child" }, stop.signal);
    for await (const { message } of watch) {
      if (message.case === "events") {
        revisions.push(...message.value.events.map(({ revision }) => revision));
      }
      if (revisions.length === 4) {
        void domain.append({ sessionId: "child", events: [userText("live")] });
      }
      if (revisions.length === 5) break;
    }
    expect(revisions).toEqual([1, 2, 3, 4, 5]);
  });

  test("shows the namespace only what is its own", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    await fork(domain, { sessionId, revision: 3, newSessionId: "child" });
    const seen: string[] = [];
    for await (const { message } of domain.watch({})) {
      if (message.case !== "events") continue;
      const { sessionId: id, events } = message.value;
      seen.push(...events.map(({ revision }) => `${id} ${revision}`));
      if (seen.length === 6) break;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5].map((at) => `parent ${at}`).concat("child 4"));
  });

  test("of forks of forks is in few logs, whatever the length of the chain", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "s0" } });
    const expected: string[] = [];
    for (let depth = 0; depth < 50; depth++) {
      await domain.append({ sessionId: `s${depth}`, events: [userText(`text ${depth}`)] });
      expected.push(`text ${depth}`);
      await fork(domain, { sessionId: `s${depth}`, newSessionId: `s${depth + 1}` });
      if (depth % 3 === 0) await remove(domain, `s${depth}`);
    }
    expect(await textsOf(domain, "s50")).toEqual(expected);
    const found = await domain.store.getSession({ namespace: "default", sessionId: "s50" });
    expect(found?.head.inherited.length).toBeLessThanOrEqual(limits.logSegments);
    for (let depth = 1; depth < 50; depth++) if (depth % 3 !== 0) await remove(domain, `s${depth}`);
    expect(await textsOf(domain, "s50")).toEqual(expected);
  });

  test("Idempotent: a repeated request makes one fork", async () => {
    await using domain = await openTestDomain();
    await createParent(domain);
    const request = { sessionId, requestId: "r" };
    const first = await fork(domain, request);
    expect(await fork(domain, request)).toEqual(first);
    await expect(fork(domain, { ...request, revision: 2 })).rejects.toThrow(RequestIdReusedError);
  });

  test("Isolated: its bytes count where they came from", async () => {
    const quotaOf = () => ({ whenFull: "refuse", minIdleMs: 0, storedBytes: 4_000 }) as const;
    await using domain = await openTestDomain({ quotaOf });
    await domain.create({ session: { sessionId } });
    await domain.append({ sessionId, events: [userText("x".repeat(2_500))] });
    for (const newSessionId of ["a", "b", "c"]) await fork(domain, { sessionId, newSessionId });
    await domain.append({ sessionId: "a", events: [userText("y".repeat(100))] });
  });
});

describe("a fork is refused", () => {
  test("beyond the log, under a taken name, of nothing, or above a quota", async () => {
    const quotaOf = () => ({ whenFull: "refuse", minIdleMs: 0, activeSessions: 2 }) as const;
    await using domain = await openTestDomain({ quotaOf });
    await createParent(domain);
    await expect(fork(domain, { sessionId, revision: 6 })).rejects.toThrow(
      'session "parent" has no revision 6; choose one from 1 to 5',
    );
    await expect(fork(domain, { sessionId, newSessionId: sessionId })).rejects.toThrow(
      SessionAlreadyExistsError,
    );
    await expect(fork(domain, { sessionId: "nobody" })).rejects.toThrow(SessionNotFoundError);
    const named = { sessionId: "x" };
    await expect(fork(domain, { sessionId, session: named })).rejects.toThrow(InvalidFieldError);
    await domain.create({ session: { sessionId: "empty" }, deferredStart: true });
    await expect(fork(domain, { sessionId: "empty" })).rejects.toThrow(RevisionOutOfRangeError);
    await expect(fork(domain, { sessionId })).rejects.toThrow(SessionQuotaExceededError);
  });
});

test("a fork is compacted over what it shares and what it has", async () => {
  await using domain = await openTestDomain();
  await domain.create({ session: { sessionId } });
  for (let turn = 0; turn < 12; turn++) {
    await domain.append({ sessionId, events: [userText(`${turn} `.padEnd(100, "so "))] });
  }
  await fork(domain, { sessionId, newSessionId: "twin" });
  await domain.append({ sessionId: "twin", events: [userText("on")] });
  const { compaction } = await compact(domain, { sessionId: "twin", targetRatio: 0.02 });
  expect(compaction?.covered[0]?.first).toBe(3);
  const { items } = await domain.window({ sessionId: "twin" });
  expect(items.at(-1)?.event?.payload).toMatchObject({ value: { text: "on" } });
});

describe("a chain deeper than logs are shared, whose newest events are copied", () => {
  const depth = limits.logSegments + 4;

  /** A chain of forks, in each of which something happens. */
  async function chain(domain: TestDomain, happens: (id: string, n: number) => Promise<unknown>) {
    const contextPolicy = { tokenBudget: 1_000, compaction: { manual: true } };
    await domain.create({ session: { sessionId, contextPolicy } });
    let id = sessionId;
    for (let n = 0; n < depth; n++) {
      await fork(domain, { sessionId: id, newSessionId: `fork ${n}` });
      id = `fork ${n}`;
      await happens(id, n);
    }
    return id;
  }

  test("keeps hidden what was hidden, also when it is rewound", async () => {
    await using domain = await openTestDomain();
    const groups = { to: { case: "groups", value: 1 } } as const;
    const id = await chain(domain, async (sessionId, n) => {
      await domain.append({ sessionId, events: [userText(`secret ${n}`)] });
      await rewind(domain, { sessionId, ...groups });
      await domain.append({ sessionId, events: [userText(`kept ${n}`)] });
    });
    const texts = async () => {
      const { items } = await domain.window({ sessionId: id });
      return items.map(({ event }) =>
        event?.payload.case === "message" ? event.payload.value.text : "",
      );
    };
    const kept = Array.from({ length: depth }, (_, n) => `kept ${n}`);
    expect(await texts()).toEqual(kept);
    await rewind(domain, { sessionId: id, ...groups });
    expect(await texts()).toEqual(kept.slice(0, -1));
    await rewind(domain, { sessionId: id, to: { case: "groups", value: depth / 2 } });
    expect(await texts()).toEqual(kept.slice(0, depth / 2 - 1));
    expect((await verify(domain.store)).findings).toEqual([]);
    await imported(domain, await exported(domain, id), { namespace: "other" });
  });

  test("keeps its compactions and its protection", async () => {
    await using domain = await openTestDomain();
    const id = await chain(domain, async (sessionId, n) => {
      await domain.append({ sessionId, events: [userText(`${n} `.padEnd(90, "so "))] });
      if (n === depth - 7) await compact(domain, { sessionId, targetRatio: 0.2 });
      if (n === depth - 5) {
        const { headRevision } = await domain.get(sessionId);
        const protection = { sessionId, revisions: [headRevision] };
        await domain.protections.set(create(SetProtectionRequestSchema, protection));
      }
    });
    const state = async () => {
      const { head } = await storedAs(domain, id);
      const { compaction, protected: guarded } = head.context ?? {};
      return { compaction, guarded };
    };
    const before = await state();
    expect(before.compaction).toBeDefined();
    await domain.append({ sessionId: id, events: [userText("one more")] });
    await rewind(domain, { sessionId: id, to: { case: "groups", value: 1 } });
    expect(await state()).toEqual(before);
    expect((await verify(domain.store)).findings).toEqual([]);
  });
});
