import { create } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  ExportSessionRequestSchema,
  type ExportSessionResponse,
  ImportConflict,
  ImportOutcome,
  type ImportSessionRequest,
  SessionState,
} from "@sessiond/contract";
import { describe, expect, it } from "vitest";
import type { QuotaOf } from "../../../src/domain/quotas/quota.ts";
import {
  ImportInvalidError,
  NamespaceFullError,
  SessionAlreadyExistsError,
  SessionDeletedError,
  SessionNotFoundError,
  SessionQuotaExceededError,
  ShuttingDownError,
} from "../../../src/errors.ts";
import { allEvents, maintainAll, rejection } from "../../store/support.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { toolCall } from "../lifecycle/support.ts";
import { exported, imported, requestsOf, storedAs, streamed } from "./support.ts";

async function withSession(events = 200): Promise<TestDomain> {
  const domain = await openTestDomain();
  await domain.create({ session: { sessionId: "s" } });
  for (let at = 0; at < events; at += 50) {
    domain.now += 1_000;
    await domain.append({ sessionId: "s", events: Array(50).fill(userText("hello")) });
  }
  return domain;
}

function names(domain: TestDomain, namespace: string) {
  return domain.store
    .listSessions({ namespace, index: { by: "all" }, limit: 99 })
    .then((found) => found.map(({ session }) => session.sessionId));
}

/** A stream that waits before its last part until it is let go on. */
function held(parts: readonly ExportSessionResponse[], target = {}) {
  const requests = requestsOf(parts, target);
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  async function* stream(): AsyncGenerator<ImportSessionRequest> {
    yield* requests.slice(0, -1);
    reached.resolve();
    await goOn.promise;
    yield* requests.slice(-1);
  }
  return { stream: stream(), reached: reached.promise, goOn: goOn.resolve };
}

describe("an import", () => {
  it("is nowhere to be seen before it is whole, then everywhere at once", async () => {
    await using domain = await withSession();
    const parts = await exported(domain, "s");
    const seen: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const { message } of domain.watch({ namespace: "n" }, stop.signal)) {
        if (message.case !== "events") continue;
        seen.push(...message.value.events.map(({ revision }) => String(revision)));
        if (seen.length >= 201) return;
      }
    })();
    const { stream, reached, goOn } = held(parts, { namespace: "n" });
    const import_ = domain.imports.session(stream);
    await reached;
    expect(await names(domain, "n")).toEqual([]);
    const get = exported(domain, "s", "n");
    expect(await rejection(get)).toBeInstanceOf(SessionNotFoundError);
    expect(domain.store.namespaceOffset("n")).toBe(0);
    expect(seen).toEqual([]);
    goOn();
    expect(await import_).toMatchObject({ outcome: ImportOutcome.IMPORTED });
    await watching;
    stop.abort();
    // Ordered, Unique, Gapless for who watches the namespace.
    expect(seen).toEqual(Array.from({ length: 201 }, (_, index) => String(index + 1)));
  });

  it("leaves nothing when it breaks off, is wrong in the end, or the server stops", async () => {
    await using domain = await withSession();
    const parts = await exported(domain, "s");
    const uids: string[] = [];
    const commit = domain.store.commit.bind(domain.store);
    domain.store.commit = (change) => {
      uids.push(change.key.uid);
      return commit(change);
    };
    const cut = domain.imports.session(
      streamed(requestsOf(parts, { namespace: "n" }).slice(0, -1)),
    );
    expect(await rejection(cut)).toMatchObject({
      reason: "IMPORT_INVALID",
      message: expect.stringContaining("cut off"),
    });
    const broken = async function* () {
      yield* requestsOf(parts, { namespace: "n" }).slice(0, -1);
      throw new Error("connection lost");
    };
    expect(await rejection(domain.imports.session(broken()))).toMatchObject({
      message: "connection lost",
    });
    const { stream, reached } = held(parts, { namespace: "n" });
    const stopped = rejection(domain.imports.session(stream));
    await reached;
    domain.shutDown();
    expect(await stopped).toBeInstanceOf(ShuttingDownError);

    expect(new Set(uids).size).toBe(3);
    await maintainAll(domain.store, 0);
    for (const uid of uids) expect(await allEvents(domain.store, uid)).toEqual([]);
    expect(await names(domain, "n")).toEqual([]);
  });

  it("finds the name taken: fails, skips, or takes the next free one", async () => {
    await using domain = await withSession(50);
    const parts = await exported(domain, "s");
    expect(await rejection(imported(domain, parts))).toBeInstanceOf(SessionAlreadyExistsError);
    const skip = { onConflict: ImportConflict.SKIP };
    expect(await imported(domain, parts, skip)).toMatchObject({
      outcome: ImportOutcome.SKIPPED,
      session: { sessionId: "s", headRevision: 51 },
    });
    const fresh = { onConflict: ImportConflict.NEW_ID };
    const made = [];
    for (let i = 0; i < 3; i++)
      made.push((await imported(domain, parts, fresh)).session?.sessionId);
    expect(made).toEqual(["s~1", "s~2", "s~3"]);
    const free = await imported(domain, parts, { ...fresh, sessionId: "free" });
    expect(free.session?.sessionId).toBe("free");
  });

  it("races a creation of the same name: one of the two is there, and whole", async () => {
    await using domain = await withSession(50);
    const parts = await exported(domain, "s");
    const { stream, reached, goOn } = held(parts, { sessionId: "t" });
    const import_ = rejection(domain.imports.session(stream));
    await reached;
    await domain.create({ session: { sessionId: "t" } });
    goOn();
    expect(await import_).toBeInstanceOf(SessionAlreadyExistsError);
    expect((await storedAs(domain, "t")).head.revision).toBe(1);
  });

  it("checks everything and stores nothing in a dry run", async () => {
    await using domain = await withSession(50);
    const parts = await exported(domain, "s");
    const dry = await imported(domain, parts, { namespace: "n", dryRun: true });
    expect(dry).toMatchObject({
      outcome: ImportOutcome.CHECKED,
      session: { sessionId: "s", uid: "", headRevision: 51 },
    });
    expect(await names(domain, "n")).toEqual([]);
    const wrong = parts.slice(0, -1);
    expect(
      await rejection(imported(domain, wrong, { dryRun: true, namespace: "n" })),
    ).toBeInstanceOf(ImportInvalidError);
  });

  it.each([false, true])("keeps to the quota of its namespace, dry run %s", async (dryRun) => {
    const quota =
      (sessions: number, bytes: number): QuotaOf =>
      (namespace) =>
        namespace === "n"
          ? { activeSessions: sessions, storedBytes: bytes, whenFull: "refuse", minIdleMs: 0 }
          : undefined;
    await using source = await withSession(50);
    const parts = await exported(source, "s");
    await using few = await openTestDomain({ quotaOf: quota(1, 1e9) });
    await few.create({ session: { namespace: "n", sessionId: "other" } });
    expect(await rejection(imported(few, parts, { namespace: "n", dryRun }))).toBeInstanceOf(
      SessionQuotaExceededError,
    );
    await using small = await openTestDomain({ quotaOf: quota(9, 100) });
    expect(await rejection(imported(small, parts, { namespace: "n", dryRun }))).toBeInstanceOf(
      NamespaceFullError,
    );
    expect([...(await names(few, "n")), ...(await names(small, "n"))]).toEqual(["other"]);
  });

  it("drops a retention that is over when it is to be kept", async () => {
    await using domain = await openTestDomain();
    const expiry = { retention: { seconds: 60n } };
    await domain.create({ session: { sessionId: "s", expiry, limits: { maxSteps: 1 } } });
    await domain.append({ sessionId: "s", events: [toolCall("c1")] });
    const parts = await exported(domain, "s");
    domain.now += 3_600_000;
    for (const keep of [false, true]) {
      await imported(domain, parts, { namespace: "n", sessionId: String(keep), keep });
    }
    await domain.sweeper.sweep();
    expect(await names(domain, "n")).toEqual(["true"]);
    const { session } = await storedAs(domain, "true", "n");
    expect(session).toMatchObject({
      state: SessionState.LIMIT_REACHED,
      end: { limit: "max_steps" },
    });
  });

  it("takes a session that has not started", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "s" }, deferredStart: true });
    await imported(domain, await exported(domain, "s"), { namespace: "n" });
    const { session, head } = await storedAs(domain, "s", "n");
    expect([session.state, head.revision]).toEqual([SessionState.CREATED, 0]);
    expect(await exported(domain, "s", "n")).toEqual(await exported(domain, "s"));
  });
});

describe("an export", () => {
  it("is what was durable when it began, and ends with an error when that is removed", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "s" } });
    for (let at = 0; at < 1_500; at += 500) {
      await domain.append({ sessionId: "s", events: Array(500).fill(userText("hello")) });
    }
    const parts = domain.exports.session(create(ExportSessionRequestSchema, { sessionId: "s" }));
    await parts.next();
    await domain.append({ sessionId: "s", events: [userText("later")] });
    const first = await parts.next();
    expect(first.value?.part).toMatchObject({ case: "events" });
    await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: "s" }));
    expect(await rejection(parts.next())).toBeInstanceOf(SessionDeletedError);
  });
});
