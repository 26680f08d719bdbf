import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Event, SessionParentKind, SetProtectionRequestSchema } from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headAt } from "../../../src/domain/history/replay.ts";
import { placesOf, readLog } from "../../../src/store/log.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { amend, compact, open, sessionId } from "../context/compaction/support.ts";
import { logs } from "../context/logs/log.ts";
import { fork, remove } from "../history/support.ts";
import { getState, patch } from "../state/support.ts";
import { exported, imported, storedAs } from "./support.ts";

const namespace = "other";

async function stateOf(domain: TestDomain, id: string, of = namespace) {
  return (await getState(domain, { namespace: of, sessionId: id })).state;
}

async function logOf(domain: TestDomain, id: string, of = "default") {
  const stored = await storedAs(domain, id, of);
  const range = { first: 1, last: stored.head.revision, maxEvents: 1_000, maxBytes: 1e9 };
  const log: Event[] = [];
  // Ends where the events of another log begin.
  while (log.length < range.last) {
    const next = { ...range, first: log.length + 1, log: placesOf(stored) };
    log.push(...(await readLog(domain.store, next)));
  }
  return log;
}

/** A session that has patched its state three times, the last time at revision 5. */
async function withState(domain: TestDomain): Promise<void> {
  await domain.create({ session: { sessionId: "s", userId: "ann" } });
  await patch(domain, { theme: "dark", draft: "x", "user:locale": "de" }, { sessionId: "s" });
  await domain.append({ sessionId: "s", events: [userText("hello")] });
  await patch(domain, { theme: "light", draft: null }, { sessionId: "s" });
  await patch(domain, { "app:rate": 3, constructor: [1] }, { sessionId: "s" });
}

describe("the state of a session that was imported", () => {
  test("is what its log says of its own keys, without those that others share", async () => {
    await using domain = await openTestDomain();
    await withState(domain);
    const parts = await exported(domain, "s");
    await imported(domain, parts, { namespace });
    expect(await stateOf(domain, "s")).toEqual({ theme: "light", constructor: [1] });
    const [own, copy] = [await storedAs(domain, "s"), await storedAs(domain, "s", namespace)];
    expect(copy.head.stateRevision).toBe(own.head.stateRevision);
    expect(await exported(domain, "s", namespace)).toEqual(parts);
    await patch(domain, { draft: "y" }, { sessionId: "s", namespace });
    expect(await stateOf(domain, "s")).toMatchObject({ theme: "light", draft: "y" });
    expect(await stateOf(domain, "s", "default")).not.toHaveProperty("draft");
  });

  test("is that of any revision in a fork of it", async () => {
    await using domain = await openTestDomain();
    await withState(domain);
    await imported(domain, await exported(domain, "s"), { namespace });
    await fork(domain, { namespace, sessionId: "s", revision: 3, newSessionId: "older" });
    await fork(domain, { namespace, sessionId: "s", newSessionId: "newest" });
    expect(await stateOf(domain, "older")).toEqual({ theme: "dark", draft: "x" });
    expect(await stateOf(domain, "newest")).toEqual({ theme: "light", constructor: [1] });
  });

  test("is not stored when the import breaks off, or only checks", async () => {
    await using domain = await openTestDomain();
    await withState(domain);
    const parts = await exported(domain, "s");
    const scopes: string[] = [];
    domain.store.onCommit(({ change: { states = [] } }) => {
      scopes.push(...states.map(({ scope }) => scope.of));
    });
    await imported(domain, parts, { namespace, dryRun: true });
    await imported(domain, parts.slice(0, -1), { namespace }).catch(() => {});
    expect(scopes).toEqual([]);
    await imported(domain, parts, { namespace });
    expect(scopes).toEqual(["session"]);
  });
});

describe("a fork that was exported", () => {
  test("comes back whole, as a session that shares nothing", async () => {
    await using domain = await openTestDomain();
    await withState(domain);
    domain.now += 1_000;
    await fork(domain, { sessionId: "s", revision: 3, newSessionId: "child" });
    await domain.append({ sessionId: "child", events: [userText("another way")] });
    domain.now += 1_000;
    await fork(domain, { sessionId: "child", newSessionId: "grandchild" });
    await domain.append({ sessionId: "grandchild", events: [userText("and on")] });
    const parts = await exported(domain, "grandchild");
    const log = await logOf(domain, "grandchild");
    const before = await storedAs(domain, "grandchild");
    expect(before.head.inherited).toHaveLength(2);

    await imported(domain, parts, { namespace });
    const { session, head } = await storedAs(domain, "grandchild", namespace);
    expect(session.parent).toMatchObject({ sessionId: "child", kind: SessionParentKind.FORK });
    expect(head).toEqual({
      ...before.head,
      inherited: [],
      inheritedBytes: 0,
      checkpointRevision: head.revision,
    });
    // Its messages end elsewhere.
    const again = await exported(domain, "grandchild", namespace);
    expect(again.at(0)).toEqual(parts.at(0));
    expect(again.at(-1)).toEqual(parts.at(-1));
    for (const id of ["s", "child", "grandchild"]) await remove(domain, id);
    expect(await logOf(domain, "grandchild", namespace)).toEqual(log);
    expect(await stateOf(domain, "grandchild")).toEqual({ theme: "dark", draft: "x" });
  });

  test("is refused when its session names another parent, or is older than it was", async () => {
    await using domain = await openTestDomain();
    await withState(domain);
    domain.now += 1_000;
    await fork(domain, { sessionId: "s", newSessionId: "child" });
    const { parent: from } = (await storedAs(domain, "child")).session;
    for (const [change, says] of [
      [{ parent: undefined }, "before that of the event before"],
      [{ parent: from && { ...from, sessionId: "t" } }, "its parent"],
      [{ createTime: timestampFromMs(domain.now + 1) }, "its create_time"],
    ] as const) {
      const parts = await exported(domain, "child");
      for (const { part } of parts) {
        if (part.case === "header") Object.assign(part.value.session ?? {}, change);
      }
      await expect(imported(domain, parts, { namespace })).rejects.toMatchObject({
        reason: "IMPORT_INVALID",
        message: expect.stringContaining(says),
      });
    }
  });
});

/** The head without what was measured rather than said by the log, and where checkpoints are. */
function comparable({ context, ...head }: SessionHead) {
  const { compaction, ...state } = context ?? {};
  return {
    ...head,
    checkpointRevision: 0,
    windowTokens: 0,
    context: { ...state, compaction: compaction && { ...compaction, summaryTokens: 0 } },
  };
}

const interventions = {
  compact: (domain: TestDomain) => compact(domain, { targetRatio: 0.05 }),
  protect: (domain: TestDomain) =>
    domain.protections.set(create(SetProtectionRequestSchema, { sessionId, revisions: [2] })),
  amend: async (domain: TestDomain) => {
    const log = await domain.log(sessionId);
    const call = log.findLast(({ payload }) => payload.case === "toolCall");
    if (call !== undefined) await amend(domain, call.revision, `{"at":${log.length}}`);
  },
} as const;

test("an imported session has the heads of its past", { timeout: 120_000 }, async () => {
  const between = fc.option(
    fc.constantFrom<keyof typeof interventions>("compact", "protect", "amend"),
    {
      freq: 3,
    },
  );
  let compactions = 0;
  await fc.assert(
    fc.asyncProperty(
      logs({ minLength: 4, maxLength: 80 }),
      fc.infiniteStream(between),
      async (appends, deeds) => {
        await using domain = await openTestDomain();
        await open(domain, { tokenBudget: 2_000, compaction: { manual: true } });
        for (const { passMs, events } of appends) {
          domain.now += passMs;
          await domain.append({ sessionId, events: [...events] });
          const deed = deeds.next().value as keyof typeof interventions | null;
          // A window that is too small, or has nothing to give, is refused; then nothing changed.
          if (deed !== null) await interventions[deed](domain).catch(() => {});
        }
        await imported(domain, await exported(domain, sessionId), { namespace });
        const own = await storedAs(domain, sessionId);
        const copy = await storedAs(domain, sessionId, namespace);
        compactions += own.head.metrics?.compactions?.count ?? 0;
        for (let revision = 1; revision <= own.head.revision; revision++) {
          const found = await headAt(domain.store, copy, revision);
          const known = await headAt(domain.store, own, revision);
          expect(comparable(found)).toEqual(comparable(known));
        }
      },
    ),
    { numRuns: 40 },
  );
  expect(compactions).toBeGreaterThan(10);
});
