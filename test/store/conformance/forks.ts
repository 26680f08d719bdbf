import { describe, expect, it } from "vitest";
import { readCheckpoint, readLog } from "../../../src/store/log.ts";
import type { Store } from "../../../src/store/store.ts";
import {
  addition,
  afterOf,
  allEvents,
  creation,
  deletion,
  fork,
  headAt,
  maintainAll,
  NAMESPACE,
  textEvents,
} from "../support.ts";
import type { Engine } from "./index.ts";

function logThrough(store: Store, change: ReturnType<typeof fork>, first = 1) {
  const { session, head } = afterOf(change);
  const log = { uid: session.uid, inherited: head.inherited };
  return readLog(store, { log, first, last: head.revision, maxEvents: 1_000, maxBytes: 1e9 });
}

/** The whole log of a session, piece by piece. */
async function wholeLog(store: Store, change: ReturnType<typeof fork>) {
  const events = [];
  for (let page = await logThrough(store, change); page.length > 0; ) {
    events.push(...page);
    page = await logThrough(store, change, events.length + 1);
  }
  return events;
}

export function describeForks({ open, reopen }: Engine): void {
  describe("forks", () => {
    it("read the log they share, and their own behind it", async () => {
      const store = await open();
      const parent = creation({}, 10);
      await store.commit(parent);
      const child = fork(parent, 6, "child");
      await store.commit(child);
      await store.commit(addition(parent, 3));
      expect(await wholeLog(store, child)).toEqual(textEvents(1, 7));
      const grandchild = fork(child, 7, "grandchild");
      await store.commit(grandchild);
      expect(await wholeLog(store, grandchild)).toEqual(textEvents(1, 8));
      expect(await store.getSession(child.key)).toEqual(child.after);
      await store.close();
    });

    it("show only their own events in the log of the namespace", async () => {
      const store = await open();
      const parent = creation({}, 10);
      await store.commit(parent);
      await store.commit(fork(parent, 6, "child"));
      const log = await store.readNamespaceLog({ namespace: NAMESPACE, afterOffset: 0, limit: 9 });
      const ranges = log.map(({ entry }) => [entry.firstRevision, entry.lastRevision]);
      expect(ranges).toEqual([
        [1, 10],
        [7, 7],
      ]);
      await store.close();
    });

    it("take copies of events over, which are no news", async () => {
      const store = await open();
      const parent = creation({}, 10);
      await store.commit(parent);
      const child = fork(parent, 6, "child");
      const { session, head } = afterOf(child);
      const inherited = [{ ...head.inherited[0], lastRevision: 4 }] as typeof head.inherited;
      const after = { session, head: { ...head, inherited } };
      const copied = { ...child, after, copies: textEvents(5, 2) };
      await store.commit(copied);
      expect(await wholeLog(store, copied)).toEqual(textEvents(1, 7));
      expect(await allEvents(store, session.uid)).toEqual(textEvents(5, 3));
      const [, entry] = await store.readNamespaceLog({
        namespace: NAMESPACE,
        afterOffset: 0,
        limit: 9,
      });
      expect(entry?.entry).toMatchObject({ firstRevision: 7, lastRevision: 7 });
      await store.close();
    });

    it("keep what they need of a deleted parent, and nothing else", async () => {
      const store = await open();
      const parent = creation({}, 10);
      await store.commit(parent);
      const low = fork(parent, 3, "low");
      const high = fork(parent, 6, "high");
      await store.commit(low);
      await store.commit(high);
      await store.commit(deletion(parent));
      await maintainAll(store, 0, 4);
      expect(await wholeLog(store, low)).toEqual(textEvents(1, 4));
      expect(await wholeLog(store, high)).toEqual(textEvents(1, 7));
      expect(await allEvents(store, parent.key.uid)).toEqual(textEvents(1, 6));
      await store.commit(deletion(high));
      await maintainAll(store, 0, 4);
      expect(await allEvents(store, parent.key.uid)).toEqual(textEvents(1, 3));
      await store.commit(deletion(low));
      await maintainAll(store, 0, 4);
      for (const { key } of [parent, low, high]) {
        expect(await allEvents(store, key.uid)).toEqual([]);
      }
      expect(await store.maintain({ nowMs: 0, limit: 10 })).toBe(false);
      await store.close();
    });

    it("may be deleted before their parent, which keeps its log", async () => {
      const store = await open();
      const parent = creation({}, 5);
      await store.commit(parent);
      const child = fork(parent, 5, "child");
      await store.commit(child);
      await store.commit(deletion(child));
      await maintainAll(store, 0);
      expect(await allEvents(store, parent.key.uid)).toEqual(textEvents(1, 5));
      await store.commit(deletion(parent));
      await maintainAll(store, 0);
      expect(await allEvents(store, parent.key.uid)).toEqual([]);
      await store.close();
    });

    it("leave a log in the middle of a chain to those behind it", async () => {
      const store = await open();
      const first = creation({}, 4);
      await store.commit(first);
      const second = fork(first, 4, "second");
      await store.commit(second);
      const third = fork(second, 5, "third");
      await store.commit(third);
      await Promise.all([store.commit(deletion(second)), store.commit(deletion(first))]);
      await maintainAll(store, 0, 2);
      expect(await wholeLog(store, third)).toEqual(textEvents(1, 6));
      await store.commit(deletion(third));
      await maintainAll(store, 0, 2);
      for (const { key } of [first, second, third]) {
        expect(await allEvents(store, key.uid)).toEqual([]);
      }
      await store.close();
    });

    it.skipIf(reopen === undefined)("are there after a restart, with what they need", async () => {
      let store = await open();
      const parent = creation({}, 5);
      await store.commit(parent);
      const child = fork(parent, 3, "child");
      await store.commit(child);
      await store.commit(deletion(parent));
      store = (await reopen?.(store)) ?? store;
      await maintainAll(store, 0);
      expect(await wholeLog(store, child)).toEqual(textEvents(1, 4));
      await store.close();
    });
  });

  describe("checkpoints", () => {
    const withCheckpoint = (revision: number) => ({
      ...headAt(revision),
      checkpointRevision: revision,
    });

    it("are kept where a head says so, and found from behind", async () => {
      const store = await open();
      const created = creation({}, 2);
      await store.commit({
        ...created,
        after: { session: afterOf(created).session, head: withCheckpoint(2) },
      });
      const { uid } = created.key;
      const next = addition(created, 3);
      await store.commit(next);
      const after = { session: afterOf(next).session, head: withCheckpoint(6) };
      await store.commit({ ...addition(next, 1), after });
      expect(await store.checkpoint({ uid, atMost: 1 })).toBeUndefined();
      expect(await store.checkpoint({ uid, atMost: 5 })).toEqual(withCheckpoint(2));
      expect(await store.checkpoint({ uid, atMost: 6 })).toEqual(withCheckpoint(6));
      await store.close();
    });

    it("are shared by forks up to their revision, and go with the log", async () => {
      const store = await open();
      const created = creation({}, 4);
      const { session } = afterOf(created);
      const parent = { ...created, after: { session, head: withCheckpoint(4) } };
      await store.commit(parent);
      const more = addition(parent, 4);
      const longer = { ...more, after: { session, head: withCheckpoint(8) } };
      await store.commit(longer);
      const child = fork(longer, 6, "child");
      await store.commit(child);
      const { head } = afterOf(child);
      const log = { uid: child.key.uid, inherited: head.inherited };
      expect(await readCheckpoint(store, { log, atMost: 7 })).toEqual(withCheckpoint(4));
      await store.commit(deletion(longer));
      await maintainAll(store, 0);
      const { uid } = parent.key;
      expect(await store.checkpoint({ uid, atMost: 9 })).toEqual(withCheckpoint(4));
      await store.commit(deletion(child));
      await maintainAll(store, 0);
      expect(await store.checkpoint({ uid, atMost: 9 })).toBeUndefined();
      await store.close();
    });
  });
}
