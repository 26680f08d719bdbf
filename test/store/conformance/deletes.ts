import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { RevisionConflictError } from "../../../src/errors.ts";
import {
  addition,
  allEvents,
  creation,
  deletion,
  maintainAll,
  NAMESPACE,
  rejection,
  textEvents,
} from "../support.ts";
import type { Engine } from "./index.ts";

export function describeDeletes({ open }: Engine): void {
  describe("deletes", () => {
    it("remove the session from everything that finds it", async () => {
      const store = await open();
      const created = creation({ agentId: "a", userId: "u", expireTimeMs: 9 }, 3);
      await store.commit(created);
      await store.commit(deletion(created));
      expect(await store.getSession(created.key)).toBeUndefined();
      for (const index of [
        { by: "all" },
        { by: "agent", value: "a" },
        { by: "user", value: "u" },
        { by: "state", value: 2 },
      ] as const) {
        expect(await store.listSessions({ namespace: NAMESPACE, index, limit: 9 })).toEqual([]);
      }
      expect(await store.dueDeadlines({ nowMs: 10, limit: 9 })).toEqual([]);
      await store.close();
    });

    it("free the log in bounded pieces, and no other log", async () => {
      const store = await open();
      const kept = creation({ sessionId: "kept" }, 5);
      await store.commit(kept);
      const deleted = [];
      for (const sessionId of ["x", "y"]) {
        const created = creation({ sessionId }, 25);
        await store.commit(created);
        await store.commit(deletion(created));
        deleted.push(created.key.uid);
      }
      await maintainAll(store, 0, 10);
      const log = await store.readNamespaceLog({ namespace: NAMESPACE, afterOffset: 0, limit: 99 });
      expect(log.map(({ entry }) => entry.deleted)).toEqual([false, true, true]);
      for (const uid of deleted) expect(await allEvents(store, uid)).toEqual([]);
      expect(await allEvents(store, kept.key.uid)).toEqual(kept.events);
      expect(await store.maintain({ nowMs: 0, limit: 10 })).toBe(false);
      await store.close();
    });

    it("free the newest events first, so that what is left of a log has no holes", async () => {
      const store = await open();
      const created = creation({}, 9);
      await store.commit(created);
      await store.commit(deletion(created));
      for (let more = true; more; ) {
        more = await store.maintain({ nowMs: 0, limit: 2 });
        const left = await allEvents(store, created.key.uid);
        expect(left).toEqual(textEvents(1, left.length));
      }
      expect(await allEvents(store, created.key.uid)).toEqual([]);
      await store.close();
    });

    it("say when they happen, and no other change does", async () => {
      const store = await open();
      const created = creation();
      await store.commit(created);
      const { deleteTimeMs: _, ...timeless } = deletion(created);
      expect(await rejection(store.commit(timeless))).toBeInstanceOf(RangeError);
      const timed = { ...addition(created), deleteTimeMs: 1 };
      expect(await rejection(store.commit(timed))).toBeInstanceOf(RangeError);
      await store.commit(deletion(created, 1_234));
      const range = { namespace: NAMESPACE, afterOffset: 1, limit: 9 };
      const [last] = await store.readNamespaceLog(range);
      expect(last?.entry.deleteTime).toEqual(timestampFromMs(1_234));
      await store.close();
    });

    it("conflict like any change", async () => {
      const store = await open();
      const created = creation();
      await store.commit(created);
      await store.commit(addition(created));
      const error = await rejection(store.commit(deletion(created)));
      expect(error).toBeInstanceOf(RevisionConflictError);
      expect(await store.getSession(created.key)).toBeDefined();
      await store.close();
    });

    it("leave the name free for a session with another log", async () => {
      const store = await open();
      const first = creation({}, 4);
      await store.commit(first);
      // All under way at once: the new session is checked against the deleted one.
      const second = creation({}, 2);
      await Promise.all([store.commit(deletion(first)), store.commit(second)]);
      expect(await store.getSession(first.key)).toEqual(second.after);
      await maintainAll(store, 0);
      expect(await allEvents(store, second.key.uid)).toEqual(textEvents(1, 2));
      expect(await allEvents(store, first.key.uid)).toEqual([]);
      const stale = await rejection(store.commit(addition(first)));
      expect(stale).toMatchObject({ expected: 4, actual: 2 });
      await store.close();
    });
  });
}
