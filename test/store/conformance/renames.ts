import { describe, expect, it } from "vitest";
import { RevisionConflictError } from "../../../src/errors.ts";
import {
  addition,
  afterOf,
  allEvents,
  creation,
  deletion,
  NAMESPACE,
  rejection,
  rename,
  textEvents,
} from "../support.ts";
import type { Engine } from "./index.ts";

export function describeRenames({ open, reopen }: Engine): void {
  describe("renames", () => {
    it("give a session another name with its log, and free the one it had", async () => {
      const store = await open();
      const created = creation({ sessionId: "demo", agentId: "a", expireTimeMs: 9 }, 2);
      await store.commit(created);
      const renamed = rename(created, "demo~1");
      await store.commit(renamed);
      expect(await store.getSession(created.key)).toBeUndefined();
      const kept = await store.getSession({ namespace: NAMESPACE, sessionId: "demo~1" });
      expect(kept).toEqual(renamed.after);
      expect(await allEvents(store, created.key.uid)).toEqual(created.events);
      const index = { by: "agent", value: "a" } as const;
      const listed = await store.listSessions({ namespace: NAMESPACE, index, limit: 9 });
      expect(listed.map(({ session }) => session.sessionId)).toEqual(["demo~1"]);
      const due = await store.dueDeadlines({ nowMs: 9, limit: 9 });
      expect(due.map(({ key }) => key)).toEqual([{ ...created.key, sessionId: "demo~1" }]);
      await store.close();
    });

    it("may carry events, and let a fresh session follow without waiting", async () => {
      const store = await open();
      const created = creation({ sessionId: "demo" }, 1);
      await store.commit(created);
      const renamed = rename(created, "demo~1", textEvents(2, 1));
      const fresh = creation({ sessionId: "demo" }, 3);
      await Promise.all([store.commit(renamed), store.commit(fresh)]);
      expect(await store.getSession(created.key)).toEqual(fresh.after);
      const appended = addition({ ...renamed, key: { ...renamed.key, sessionId: "demo~1" } }, 1);
      await store.commit(appended);
      expect(await allEvents(store, created.key.uid)).toHaveLength(3);
      expect(await allEvents(store, fresh.key.uid)).toHaveLength(3);
      await store.close();
    });

    it("conflict when the name is taken, also by a commit under way", async () => {
      const store = await open();
      const created = creation({ sessionId: "demo" });
      const other = creation({ sessionId: "other" });
      await store.commit(created);
      const underWay = store.commit(other);
      const renamed = rename(created, "other");
      expect(await rejection(store.commit(renamed))).toBeInstanceOf(RevisionConflictError);
      await underWay;
      expect(await rejection(store.commit(renamed))).toBeInstanceOf(RevisionConflictError);
      expect(await store.getSession(created.key)).toEqual(created.after);
      expect(await store.getSession(other.key)).toEqual(other.after);
      await store.close();
    });

    it("leave nothing behind when the session is deleted under its new name", async () => {
      const store = await open();
      const created = creation({ sessionId: "demo" });
      await store.commit(created);
      const renamed = rename(created, "demo~1");
      await store.commit(renamed);
      await store.commit(deletion({ ...renamed, key: { ...created.key, sessionId: "demo~1" } }));
      const index = { by: "all" } as const;
      expect(await store.listSessions({ namespace: NAMESPACE, index, limit: 9 })).toEqual([]);
      await store.commit(creation({ sessionId: "demo~1" }));
      await store.close();
    });

    if (reopen !== undefined) {
      it("Durable: are there after a restart", async () => {
        const store = await open();
        const created = creation({ sessionId: "demo" });
        await store.commit(created);
        const renamed = rename(created, "demo~1");
        await store.commit(renamed);
        const again = await reopen(store);
        const name = { namespace: NAMESPACE, sessionId: "demo~1" };
        expect(await again.getSession(name)).toEqual(afterOf(renamed));
        expect(await again.getSession(created.key)).toBeUndefined();
        await again.close();
      });
    }
  });
}
