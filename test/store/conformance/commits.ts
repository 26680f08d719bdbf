import { describe, expect, it } from "vitest";
import { RevisionConflictError, ShuttingDownError } from "../../../src/errors.ts";
import type { Committed } from "../../../src/store/store.ts";
import {
  addition,
  afterOf,
  allEvents,
  creation,
  headAt,
  keyOf,
  NAMESPACE,
  rejection,
  storedSession,
  textEvents,
  update,
} from "../support.ts";
import type { Engine } from "./index.ts";

export function describeCommits({ open, reopen }: Engine): void {
  describe("commits", () => {
    it("read back what was created", async () => {
      const store = await open();
      const created = creation({ agentId: "a", title: "first" }, 3);
      expect(await store.getSession(created.key)).toBeUndefined();
      await store.commit(created);
      expect(await store.getSession(created.key)).toEqual(created.after);
      expect(await allEvents(store, created.key.uid)).toEqual(created.events);
      await store.close();
    });

    it("take a session without events", async () => {
      const store = await open();
      const created = creation({}, 0);
      await store.commit(created);
      expect(await store.getSession(created.key)).toEqual(created.after);
      await store.commit(addition(created, 2));
      expect(await allEvents(store, created.key.uid)).toHaveLength(2);
      await store.close();
    });

    it("conflict when the session exists already", async () => {
      const store = await open();
      await store.commit(creation());
      expect(await rejection(store.commit(creation()))).toBeInstanceOf(RevisionConflictError);
      await store.close();
    });

    it("conflict when the session is at another revision, and say at which", async () => {
      const store = await open();
      const created = creation({}, 1);
      await store.commit(created);
      await store.commit(addition(created, 2));
      const error = await rejection(store.commit(addition(created, 1)));
      expect(error).toBeInstanceOf(RevisionConflictError);
      expect(error).toMatchObject({ expected: 1, actual: 3 });
      await store.close();
    });

    it("conflict when the session does not exist", async () => {
      const store = await open();
      const error = await rejection(store.commit(addition(creation({}, 4))));
      expect(error).toMatchObject({ reason: "REVISION_CONFLICT", expected: 4, actual: 0 });
      await store.close();
    });

    it("conflict with a commit that is still under way", async () => {
      const store = await open();
      const created = creation();
      const first = store.commit(created);
      const twin = rejection(store.commit(creation()));
      const stale = rejection(store.commit(addition(creation({ uid: created.key.uid }, 5))));
      expect(await twin).toBeInstanceOf(RevisionConflictError);
      expect(await stale).toMatchObject({ expected: 5, actual: 1 });
      await first;
      await store.close();
    });

    it("of one session may overlap and keep their order", async () => {
      const store = await open();
      const created = creation();
      const order: number[] = [];
      const commits = [store.commit(created).then(() => order.push(1))];
      let change = created;
      for (let revision = 2; revision <= 200; revision++) {
        change = addition(change);
        commits.push(store.commit(change).then(() => order.push(revision)));
      }
      await Promise.all(commits);
      expect(order).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
      expect(await allEvents(store, created.key.uid)).toEqual([
        ...created.events,
        ...textEvents(2, 199),
      ]);
      expect((await store.getSession(created.key))?.head.revision).toBe(200);
      await store.close();
    });

    it("are Atomic: a refused change leaves nothing behind", async () => {
      const store = await open();
      const created = creation();
      await store.commit(created);
      const stale = addition(creation({ uid: created.key.uid, agentId: "ghost" }, 7), 3);
      await rejection(store.commit(stale));
      expect(await allEvents(store, created.key.uid)).toEqual(created.events);
      expect(
        await store.listSessions({
          namespace: NAMESPACE,
          index: { by: "agent", value: "ghost" },
          limit: 10,
        }),
      ).toEqual([]);
      expect(store.namespaceOffset(NAMESPACE)).toBe(1);
      await store.close();
    });

    it("refuse a change whose revisions have a hole", async () => {
      const store = await open();
      const after = storedSession({}, 2);
      const change = { key: keyOf(after), after, events: textEvents(2, 1) };
      expect(await rejection(store.commit(change))).toBeInstanceOf(RangeError);
      expect(await store.getSession(change.key)).toBeUndefined();
      await store.close();
    });

    it("are told to listeners in order, each before its promise resolves", async () => {
      const store = await open();
      const told: string[] = [];
      const unsubscribe = store.onCommit(({ change, offset }) => {
        told.push(`told ${change.key.sessionId} ${offset}`);
      });
      const ids = ["a", "b", "c"];
      await Promise.all(
        ids.map((sessionId) =>
          store.commit(creation({ sessionId })).then(() => {
            // By then the listener must have heard of this one.
            expect(told.some((line) => line.startsWith(`told ${sessionId}`))).toBe(true);
          }),
        ),
      );
      expect(told).toEqual(["told a 1", "told b 2", "told c 3"]);
      unsubscribe();
      await store.commit(creation({ sessionId: "d" }));
      expect(told).toHaveLength(3);
      await store.close();
    });

    it("can be read once a listener was told", async () => {
      const store = await open();
      const created = creation();
      const told = new Promise<Committed>((resolve) => store.onCommit(resolve));
      const commit = store.commit(created);
      await told;
      expect(await store.getSession(created.key)).toEqual(created.after);
      await commit;
      await store.close();
    });

    it("do not share objects with the caller", async () => {
      const store = await open();
      const created = creation({ title: "as committed" });
      const commit = store.commit(created);
      afterOf(created).session.title = "changed later";
      await commit;
      expect((await store.getSession(created.key))?.session.title).toBe("as committed");
      await store.close();
    });

    it("of fields change the session and leave its log", async () => {
      const store = await open();
      const created = creation({ title: "old" });
      await store.commit(created);
      await store.commit(update(created, { title: "new" }));
      const found = await store.getSession(created.key);
      expect(found?.session.title).toBe("new");
      expect(found?.head).toEqual(headAt(1));
      await store.close();
    });

    it("under way are done when close returns, and later calls fail", async () => {
      const store = await open();
      const commit = store.commit(creation());
      await store.close();
      await expect(commit).resolves.toMatchObject({ offset: 1 });
      expect(await rejection(store.commit(creation()))).toBeInstanceOf(ShuttingDownError);
      expect(await rejection(store.getSession(creation().key))).toBeInstanceOf(ShuttingDownError);
      await store.close();
    });

    it.runIf(reopen)("are Durable: everything is there after it was opened again", async () => {
      let store = await open();
      const created = creation({ agentId: "a", expireTimeMs: 5_000 }, 2);
      await store.commit(created);
      await store.commit(addition(created, 3));
      const { storeId } = store.capabilities;
      store = (await reopen?.(store)) ?? store;
      expect(store.capabilities.storeId).toEqual(storeId);
      expect((await store.getSession(created.key))?.head.revision).toBe(5);
      expect(await allEvents(store, created.key.uid)).toEqual(textEvents(1, 5));
      expect(store.namespaceOffset(NAMESPACE)).toBe(2);
      expect(await store.commit(creation({ sessionId: "next" }))).toMatchObject({ offset: 3 });
      expect(await store.dueDeadlines({ nowMs: 5_000, limit: 9 })).toHaveLength(1);
      await store.close();
    });
  });
}
