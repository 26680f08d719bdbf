import { describe, expect, it } from "vitest";
import { RevisionConflictError } from "../../../src/errors.ts";
import type { Change, Committed, Store } from "../../../src/store/store.ts";
import {
  addition,
  afterOf,
  allEvents,
  creation,
  keyOf,
  maintainAll,
  NAMESPACE,
  rejection,
  storedSession,
  textEvents,
} from "../support.ts";
import type { Engine } from "./index.ts";

/** A session with a log of three batches, that is to be there at once. */
function staged(sessionId = "demo") {
  const after = storedSession({ sessionId, agentId: "a", expireTimeMs: 9 }, 7);
  const key = keyOf(after);
  const batches: Change[] = [
    { key, events: textEvents(1, 3), staged: [] },
    { key, events: textEvents(4, 3), staged: [3] },
    { key, events: textEvents(7, 1), staged: [3, 6] },
  ];
  return { key, batches, last: { key, after, events: [], staged: [3, 6, 7] } satisfies Change };
}

function sessionsOf(store: Store) {
  return store.listSessions({ namespace: NAMESPACE, index: { by: "all" }, limit: 9 });
}

export function describeStaging({ open, reopen }: Engine): void {
  describe("staged batches", () => {
    it("are nowhere to be seen until their session is there, with all of them", async () => {
      const store = await open();
      const notices: Committed[] = [];
      store.onCommit((committed) => notices.push(committed));
      const { key, batches, last } = staged();
      for (const batch of batches) await store.commit(batch);
      expect(await store.getSession(key)).toBeUndefined();
      expect(await sessionsOf(store)).toEqual([]);
      expect(await store.dueDeadlines({ nowMs: 10, limit: 9 })).toEqual([]);
      expect(store.namespaceOffset(NAMESPACE)).toBe(0);
      expect(notices).toEqual([]);

      await store.commit(last);
      expect(await store.getSession(key)).toEqual(last.after);
      expect(await sessionsOf(store)).toHaveLength(1);
      expect(await allEvents(store, key.uid)).toEqual(textEvents(1, 7));
      expect(notices).toMatchObject([{ offset: 3, change: { key } }]);
      await store.close();
    });

    it("are an entry each in the log of the namespace, and a batch each for readers", async () => {
      const store = await open();
      const { key, batches, last } = staged();
      await store.commit(creation({ sessionId: "before" }));
      // Nothing needs to be waited for: commits are applied in the order of the calls.
      await Promise.all([...batches, last].map((change) => store.commit(change)));
      const entries = await store.readNamespaceLog({
        namespace: NAMESPACE,
        afterOffset: 1,
        limit: 9,
      });
      expect(
        entries.map(({ offset, entry }) => [offset, entry.firstRevision, entry.lastRevision]),
      ).toEqual([
        [2, 1, 3],
        [3, 4, 6],
        [4, 7, 7],
      ]);
      const range = { uid: key.uid, first: 1, last: 7, maxBytes: 1e9, wholeBatches: true };
      expect(await store.readEvents({ ...range, maxEvents: 1 })).toHaveLength(3);
      expect(await store.readEvents({ ...range, maxEvents: 4 })).toHaveLength(6);
      await store.commit(addition(last));
      expect(store.namespaceOffset(NAMESPACE)).toBe(5);
      await store.close();
    });

    it("leave a session of the same name alone, and conflict with it in the end", async () => {
      const store = await open();
      const { key, batches, last } = staged();
      const other = creation({ sessionId: "demo" });
      for (const batch of batches) await store.commit(batch);
      await store.commit(other);
      const appended = addition(other);
      await store.commit(appended);
      expect(await rejection(store.commit(last))).toBeInstanceOf(RevisionConflictError);
      expect(await store.getSession(key)).toEqual(afterOf(appended));
      await store.commit({ key, events: [], staged: [3, 6, 7] });
      await maintainAll(store, 0);
      expect(await allEvents(store, key.uid)).toEqual([]);
      expect(await allEvents(store, other.key.uid)).toHaveLength(2);
      await store.close();
    });

    it("outlast housekeeping, and are removed by it when they were given up", async () => {
      const store = await open();
      const kept = staged("kept");
      const givenUp = staged("given up");
      for (const batch of [...kept.batches, ...givenUp.batches]) await store.commit(batch);
      await store.commit({ key: givenUp.key, events: [], staged: [] });
      await maintainAll(store, 0, 2);
      expect(await allEvents(store, kept.key.uid)).toHaveLength(7);
      expect(await allEvents(store, givenUp.key.uid)).toEqual([]);
      await store.commit(kept.last);
      await maintainAll(store, 0);
      expect(await allEvents(store, kept.key.uid)).toHaveLength(7);
      await store.close();
    });

    it("bring checkpoints, which go with them", async () => {
      const store = await open();
      const [kept, givenUp] = [staged("kept"), staged("given up")];
      for (const { key, batches, last } of [kept, givenUp]) {
        const [first, ...others] = batches;
        const checkpoint = { ...last.after.head, revision: 2, checkpointRevision: 2 };
        if (first) await store.commit({ ...first, checkpoints: [checkpoint] });
        for (const batch of others) await store.commit(batch);
        expect(await store.checkpoint({ uid: key.uid, atMost: 7 })).toEqual(checkpoint);
        expect(await store.checkpoint({ uid: key.uid, atMost: 1 })).toBeUndefined();
      }
      const head = { ...kept.last.after.head, checkpointRevision: 7 };
      await store.commit({ ...kept.last, after: { ...kept.last.after, head } });
      await store.commit({ key: givenUp.key, events: [], staged: [] });
      await maintainAll(store, 0);
      expect(await store.checkpoint({ uid: kept.key.uid, atMost: 7 })).toEqual(head);
      expect(await store.checkpoint({ uid: kept.key.uid, atMost: 6 })).toMatchObject({
        revision: 2,
      });
      expect(await store.checkpoint({ uid: givenUp.key.uid, atMost: 7 })).toBeUndefined();
      await store.close();
    });

    it("make a session with an empty log", async () => {
      const store = await open();
      const after = storedSession({ sessionId: "empty" });
      const key = keyOf(after);
      await store.commit({ key, after, events: [], staged: [] });
      expect(await store.getSession(key)).toEqual(after);
      expect(store.namespaceOffset(NAMESPACE)).toBe(0);
      await store.close();
    });

    it("are refused when they contradict themselves", async () => {
      const store = await open();
      const { key, last } = staged();
      const contradictions: Change[] = [
        { key, events: textEvents(2, 1), staged: [] },
        { ...last, events: textEvents(8, 1) },
        { ...last, staged: [3] },
        { ...last, before: last.after, staged: [] },
        { ...last, checkpoints: [last.after.head] },
      ];
      for (const change of contradictions) {
        expect(await rejection(store.commit(change))).toBeInstanceOf(RangeError);
      }
      await store.close();
    });

    if (reopen !== undefined) {
      it("are gone after a restart, unless their session is there", async () => {
        const store = await open();
        const kept = staged("kept");
        const lost = staged("lost");
        for (const change of [...kept.batches, kept.last, ...lost.batches]) {
          await store.commit(change);
        }
        const again = await reopen(store);
        await maintainAll(again, 0);
        expect(await allEvents(again, kept.key.uid)).toHaveLength(7);
        expect(await allEvents(again, lost.key.uid)).toEqual([]);
        expect(await sessionsOf(again)).toHaveLength(1);
        await again.close();
      });
    }
  });
}
