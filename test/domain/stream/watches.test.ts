import { create } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  EndSessionRequestSchema,
  type WatchEventsResponse,
  WatchStart,
} from "@sessiond/contract";
import { expect, test } from "vitest";
import {
  CursorInvalidError,
  DataLossError,
  HistoryGoneError,
  SessionDeletedError,
  SessionNotFoundError,
  ShuttingDownError,
} from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Change, Committed, EventRange, Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";

const demo = { sessionId: "demo", createIfMissing: true } as const;

/** Reads a watch until `count` events came; returns them with the newest cursor. */
async function readEvents(watch: AsyncGenerator<WatchEventsResponse>, count: number) {
  const seen: string[] = [];
  const batches: number[] = [];
  let cursor = "";
  for (;;) {
    if (seen.length >= count) break;
    const { value, done } = await watch.next();
    if (done) break;
    cursor = value.cursor;
    if (value.message.case !== "events") continue;
    const { sessionId, events } = value.message.value;
    batches.push(events.length);
    seen.push(...events.map(({ revision }) => `${sessionId}:${revision}`));
  }
  return { seen, batches, cursor };
}

function revisions(sessionId: string, first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `${sessionId}:${first + i}`);
}

async function appendTexts(domain: TestDomain, texts: readonly string[], sessionId = "demo") {
  for (const text of texts) {
    await domain.append({ sessionId, createIfMissing: true, events: [userText(text)] });
  }
}

test("the first message comes at once and says where the session is", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a", "b"]);
  const watch = domain.watch({ sessionId: "demo", start: WatchStart.NOW });
  const { value } = await watch.next();
  expect(value?.message).toMatchObject({
    case: "created",
    value: { headRevision: 3, earliestRevision: 1 },
  });
  expect(value?.cursor).not.toBe("");
  await watch.return(undefined);
});

test("a watch that has not taken what there is counts as behind", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a", "b"]);
  const watch = domain.watch({ sessionId: "demo" });
  const all = domain.watch({});
  await Promise.all([watch.next(), all.next()]);
  expect(domain.watches.stats("session")).toEqual({ open: 1, behind: 1, maxLag: 3 });
  // Of a namespace it is commits that are missing.
  expect(domain.watches.stats("namespace")).toEqual({ open: 1, behind: 1, maxLag: 2 });
  await readEvents(watch, 3);
  const following = watch.next();
  expect(domain.watches.stats("session")).toEqual({ open: 1, behind: 0, maxLag: 0 });
  await appendTexts(domain, ["c"]);
  await following;
  expect(domain.watches.stats("session")).toEqual({ open: 1, behind: 1, maxLag: 1 });
  await Promise.all([watch.return(undefined), all.return(undefined)]);
  expect(domain.watches.stats("session")).toEqual({ open: 0, behind: 0, maxLag: 0 });
});

test("Ordered, Unique, Gapless: a watch from the beginning shows history, then what follows", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a", "b", "c"]);
  const watch = domain.watch({ sessionId: "demo" });
  expect((await readEvents(watch, 4)).seen).toEqual(revisions("demo", 1, 4));
  const following = readEvents(watch, 50);
  await Promise.all(
    Array.from({ length: 50 }, (_, i) => domain.append({ ...demo, events: [userText(`${i}`)] })),
  );
  expect((await following).seen).toEqual(revisions("demo", 5, 54));
});

test("a watch from now shows nothing older", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a", "b"]);
  const watch = domain.watch({ sessionId: "demo", start: WatchStart.NOW });
  await watch.next();
  const following = readEvents(watch, 1);
  await appendTexts(domain, ["c"]);
  expect((await following).seen).toEqual(["demo:4"]);
});

test("Resumable: from any cursor a watch continues without gap or repeat", async () => {
  await using domain = await openTestDomain();
  await appendTexts(
    domain,
    Array.from({ length: 20 }, (_, i) => `${i}`),
  );
  const cursors: { cursor: string; last: number }[] = [];
  const abort = new AbortController();
  for await (const { cursor, message } of domain.watch({ sessionId: "demo" }, abort.signal)) {
    if (message.case !== "events") continue;
    cursors.push({ cursor, last: message.value.events.at(-1)?.revision ?? 0 });
    if (cursors.at(-1)?.last === 21) abort.abort();
  }
  await appendTexts(domain, ["more"]);
  for (const { cursor, last } of cursors) {
    const resumed = await readEvents(domain.watch({ sessionId: "demo", cursor }), 22 - last);
    expect(resumed.seen).toEqual(revisions("demo", last + 1, 22));
  }
});

test("Atomic: a batch larger than a stream message is not split", async () => {
  await using domain = await openTestDomain();
  const events = Array.from({ length: 300 }, (_, i) => userText(`${i} ${"x".repeat(200)}`));
  await domain.append({ ...demo, events });
  const catchingUp = await readEvents(domain.watch({ sessionId: "demo" }), 301);
  expect(catchingUp.batches).toEqual([301]);
  const everywhere = await readEvents(domain.watch({}), 301);
  expect(everywhere.batches).toEqual([301]);
});

test("a namespace watch shows every session in order, and only of its namespace", async () => {
  await using domain = await openTestDomain();
  await domain.append({ ...demo, namespace: "other", events: [userText("elsewhere")] });
  await appendTexts(domain, ["a", "b"], "one");
  const watch = domain.watch({});
  const history = await readEvents(watch, 3);
  expect(history.seen).toEqual(revisions("one", 1, 3));
  const following = readEvents(watch, 4);
  await appendTexts(domain, ["a", "b"], "two");
  await appendTexts(domain, ["c"], "one");
  expect((await following).seen.sort()).toEqual(["one:4", ...revisions("two", 1, 3)]);
});

test("Resumable: a namespace cursor continues across sessions", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"], "one");
  const { cursor } = await readEvents(domain.watch({}), 2);
  await appendTexts(domain, ["a"], "two");
  expect((await readEvents(domain.watch({ cursor }), 2)).seen).toEqual(revisions("two", 1, 2));
});

test("a namespace watch says that a session was deleted; its own watch ends with an error", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const own = domain.watch({ sessionId: "demo", start: WatchStart.NOW });
  await own.next();
  const all = domain.watch({ start: WatchStart.NOW });
  await all.next();
  const ended = own.next();
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: "demo" }));
  await expect(ended).rejects.toThrow(SessionDeletedError);
  const { value } = await all.next();
  expect(value?.message).toMatchObject({
    case: "sessionDeleted",
    value: { sessionId: "demo", firstRevision: 1, lastRevision: 2 },
  });
  // Whoever comes later skips what is gone and learns the same.
  while (await domain.store.maintain({ nowMs: domain.now, limit: 10 }));
  const late = domain.watch({});
  await late.next();
  expect((await late.next()).value?.message.case).toBe("sessionDeleted");
});

const dayMs = 24 * 60 * 60_000;

test("Gapless: a watch that comes to a deleted session shows no part of it that another has read", async () => {
  await using domain = await openTestDomain();
  const first = domain.watch({});
  const second = domain.watch({});
  await first.next();
  await second.next();
  // Each read as the other watch would come to it within a moment.
  for (const text of ["a", "b"]) {
    await appendTexts(domain, [text]);
    await readEvents(first, 1);
  }
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: "demo" }));
  const { value } = await second.next();
  expect(value?.message).toMatchObject({ case: "sessionDeleted", value: { lastRevision: 3 } });
});

/** Has the store forget that sessions were deleted; one that stays is appended to. */
async function forgetDeletions(domain: TestDomain): Promise<void> {
  domain.now += 8 * dayMs;
  await appendTexts(domain, ["later"], "stays");
  while (await domain.store.maintain({ nowMs: domain.now, limit: 10 }));
}

async function deleteSession(domain: TestDomain, sessionId: string): Promise<void> {
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
}

test("Resumable: a namespace watch that may have missed a deletion fails with HISTORY_GONE", async () => {
  await using domain = await openTestDomain({ progressIntervalMs: 1 });
  await appendTexts(domain, ["a"], "goes");
  await appendTexts(domain, ["a", "b"], "stays");
  const first = domain.watch({});
  const { cursor } = await readEvents(first, 5);
  await first.return(undefined);
  const open = domain.watch({});
  await readEvents(open, 2);
  await deleteSession(domain, "goes");
  // For days it is told.
  domain.now += 6 * dayMs;
  while (await domain.store.maintain({ nowMs: domain.now, limit: 10 }));
  const told = domain.watch({ cursor });
  await told.next();
  expect((await told.next()).value?.message.case).toBe("sessionDeleted");
  const behind = await told.next();
  await forgetDeletions(domain);

  await expect(domain.watch({ cursor }).next()).rejects.toThrow(HistoryGoneError);
  await expect(open.next()).rejects.toThrow(HistoryGoneError);
  // Who was told goes on, and who begins anew sees what there is.
  const rest = domain.watch({ cursor: behind.value?.cursor ?? "" });
  expect((await readEvents(rest, 1)).seen).toEqual(["stays:4"]);
  expect((await readEvents(domain.watch({}), 4)).seen).toEqual(revisions("stays", 1, 4));
});

test("Resumable: a watch that began when deletions were forgotten continues from before them", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"], "stays");
  await appendTexts(domain, ["a"], "goes");
  await deleteSession(domain, "goes");
  await appendTexts(domain, ["a"], "another");
  await forgetDeletions(domain);
  let cursor = "";
  const seen: string[] = [];
  for (let i = 0; i < 2; i++) {
    const read = await readEvents(domain.watch({ cursor }), 2);
    seen.push(...read.seen);
    cursor = read.cursor;
  }
  expect(seen).toEqual([...revisions("stays", 1, 2), ...revisions("another", 1, 2)]);
  // It is told of those that follow, or that it was not.
  await appendTexts(domain, ["a"], "goes");
  const { cursor: early } = await readEvents(domain.watch({}), 1);
  await deleteSession(domain, "goes");
  await forgetDeletions(domain);
  for (const missed of [cursor, early]) {
    await expect(domain.watch({ cursor: missed }).next()).rejects.toThrow(HistoryGoneError);
  }
});

test("until_ended ends the stream after the last event; without it the watch stays", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const watch = readEvents(domain.watch({ sessionId: "demo", untilEnded: true }), 99);
  await domain.sessions.end(create(EndSessionRequestSchema, { sessionId: "demo" }));
  expect((await watch).seen).toEqual(revisions("demo", 1, 3));
  const again = await readEvents(domain.watch({ sessionId: "demo", untilEnded: true }), 99);
  expect(again.seen).toEqual(revisions("demo", 1, 3));
});

test("a quiet watch says that it is current, with a cursor to continue from", async () => {
  await using domain = await openTestDomain({ progressIntervalMs: 5 });
  await appendTexts(domain, ["a"]);
  const watch = domain.watch({ sessionId: "demo", start: WatchStart.NOW });
  await watch.next();
  const { value } = await watch.next();
  expect(value?.message).toMatchObject({ case: "progress", value: { headRevision: 2 } });
  await appendTexts(domain, ["b"]);
  const resumed = domain.watch({ sessionId: "demo", cursor: value?.cursor ?? "" });
  expect((await readEvents(resumed, 1)).seen).toEqual(["demo:3"]);
});

test("a shutdown ends watches with an error that can be resumed from", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const watch = domain.watch({ sessionId: "demo" });
  const { cursor } = await readEvents(watch, 2);
  const ended = watch.next();
  domain.shutDown();
  await expect(ended).rejects.toThrow(ShuttingDownError);
  await using restarted = await openTestDomain({ store: domain.store });
  await appendTexts(restarted, ["b"]);
  expect((await readEvents(restarted.watch({ sessionId: "demo", cursor }), 1)).seen).toEqual([
    "demo:3",
  ]);
});

test("a cursor from elsewhere, damaged, or ahead of the log is refused", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  await appendTexts(domain, ["a", "b"], "other");
  const { cursor } = await readEvents(domain.watch({ sessionId: "other" }), 3);
  const open = (fields: object) => domain.watch({ sessionId: "demo", ...fields }).next();
  await expect(open({ cursor })).rejects.toThrow(CursorInvalidError);
  await expect(open({ cursor: "x" })).rejects.toThrow("malformed");
  await expect(domain.watch({ cursor }).next()).rejects.toThrow("another store");
  await expect(open({ sessionId: "missing" })).rejects.toThrow(SessionNotFoundError);
  await using elsewhere = await openTestDomain();
  await appendTexts(elsewhere, ["a", "b"]);
  await expect(elsewhere.watch({ sessionId: "demo", cursor }).next()).rejects.toThrow(
    CursorInvalidError,
  );
});

test("Durable before visible: nothing shows an event before its commit is durable", async () => {
  const memory = await MemoryStore.open();
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  // A store whose commits can be read at once but are acknowledged late.
  const listeners: ((committed: Committed) => void)[] = [];
  const late = {
    onCommit(listener: (committed: Committed) => void) {
      listeners.push(listener);
      return () => {};
    },
    async commit(change: Change) {
      const committed = await memory.commit(change);
      if (change.events.some(({ payload }) => payload.case === "message")) await gate;
      for (const listener of listeners) listener(committed);
      return committed;
    },
    namespaceOffset: () => 1,
  };
  const slow = new Proxy<Store>(memory, {
    get(target, name) {
      const value: unknown = Reflect.get(name in late ? late : target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await using domain = await openTestDomain({ store: slow, progressIntervalMs: 1 });
  await domain.create({ session: { sessionId: "demo" } });
  const append = domain.append({ sessionId: "demo", events: [userText("hidden")] });
  await expect.poll(() => memory.namespaceOffset("default")).toBe(2);

  expect((await domain.get("demo")).headRevision).toBe(1);
  expect(await domain.log("demo")).toHaveLength(1);
  for (const request of [{ sessionId: "demo" }, {}]) {
    const watch = domain.watch(request);
    const cases = [];
    for (let i = 0; i < 4; i++) cases.push((await watch.next()).value?.message.case);
    expect(cases).toEqual(["created", "events", "progress", "progress"]);
    await watch.return(undefined);
  }
  release();
  await append;
  expect(await domain.log("demo")).toHaveLength(2);
});

test("closing a watch frees its place", async () => {
  await using domain = await openTestDomain();
  await appendTexts(domain, ["a"]);
  const abort = new AbortController();
  const watch = domain.watch({ sessionId: "demo", start: WatchStart.NOW }, abort.signal);
  await watch.next();
  const waiting = watch.next();
  abort.abort();
  expect(await waiting).toEqual({ done: true, value: undefined });
});

test("a namespace watch names what is damaged and goes on with the other sessions", async () => {
  const memory = await MemoryStore.open();
  const damagedUid = { value: "" };
  const store = new Proxy<Store>(memory, {
    get(target, name) {
      if (name === "readEvents") {
        return async (range: EventRange) => {
          if (range.uid === damagedUid.value && range.first <= 2 && range.last >= 2) {
            throw new DataLossError({ record: "event 2", sessionUid: range.uid });
          }
          return memory.readEvents(range);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await using domain = await openTestDomain({ store });
  await domain.create({ session: { sessionId: "bad" } });
  damagedUid.value = (await domain.get("bad")).uid;
  await appendTexts(domain, ["damaged", "good"], "bad");
  await appendTexts(domain, ["good"], "other");
  const watch = domain.watch({});
  const said: unknown[] = [];
  while (said.length < 5) {
    const next = await watch.next();
    if (next.done) break;
    const { message } = next.value;
    if (message.case === "events") {
      const { sessionId, events } = message.value;
      said.push(...events.map(({ revision }) => `${sessionId}:${revision}`));
    } else if (message.case === "eventsDamaged") {
      const { sessionId, firstRevision, lastRevision } = message.value;
      said.push({ sessionId, firstRevision, lastRevision });
    }
  }
  expect(said).toEqual([
    "bad:1",
    { sessionId: "bad", firstRevision: 2, lastRevision: 2 },
    "bad:3",
    "other:1",
    "other:2",
  ]);
  const own = domain.watch({ sessionId: "bad" });
  await own.next();
  await expect(own.next()).rejects.toThrow(DataLossError);
});
