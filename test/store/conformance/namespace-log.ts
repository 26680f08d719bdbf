import { describe, expect, it } from "vitest";
import { uidBytes } from "../../../src/store/keys.ts";
import { addition, creation, deletion, NAMESPACE, update } from "../support.ts";
import type { Engine } from "./index.ts";

export function describeNamespaceLog({ open, reopen }: Engine): void {
  describe("the log of a namespace", () => {
    it("is Ordered and Gapless over all its sessions", async () => {
      const store = await open();
      const a = creation({ sessionId: "a" }, 2);
      const b = creation({ sessionId: "b" }, 1);
      const a2 = addition(a, 3);
      const commits = [a, b, a2, addition(b, 1)].map((change) => store.commit(change));
      expect((await Promise.all(commits)).map(({ offset }) => offset)).toEqual([1, 2, 3, 4]);
      const log = await store.readNamespaceLog({ namespace: NAMESPACE, afterOffset: 0, limit: 9 });
      expect(
        log.map(({ offset, entry }) => [
          offset,
          entry.sessionId,
          entry.firstRevision,
          entry.lastRevision,
          entry.deleted,
        ]),
      ).toEqual([
        [1, "a", 1, 2, false],
        [2, "b", 1, 1, false],
        [3, "a", 3, 5, false],
        [4, "b", 2, 2, false],
      ]);
      expect(log[0]?.entry.sessionUid).toEqual(new Uint8Array(uidBytes(a.key.uid)));
      expect(store.namespaceOffset(NAMESPACE)).toBe(4);
      await store.close();
    });

    it("is read in pages", async () => {
      const store = await open();
      for (let i = 0; i < 5; i++) await store.commit(creation({ sessionId: `s${i}` }));
      const offsets = async (afterOffset: number, limit: number) =>
        (await store.readNamespaceLog({ namespace: NAMESPACE, afterOffset, limit })).map(
          ({ offset }) => offset,
        );
      expect(await offsets(0, 2)).toEqual([1, 2]);
      expect(await offsets(2, 2)).toEqual([3, 4]);
      expect(await offsets(4, 2)).toEqual([5]);
      expect(await offsets(5, 2)).toEqual([]);
      await store.close();
    });

    it("is Isolated from other namespaces", async () => {
      const store = await open();
      // Names that begin alike, with what might be taken for a separator.
      const names = ["a", "ab", "a\0b", "b"];
      for (const namespace of names) {
        expect(store.namespaceOffset(namespace)).toBe(0);
        expect(await store.commit(creation({ namespace }))).toMatchObject({ offset: 1 });
      }
      await store.commit(creation({ namespace: "ab", sessionId: "second" }));
      for (const namespace of names) {
        const log = await store.readNamespaceLog({ namespace, afterOffset: 0, limit: 9 });
        expect(log.map(({ offset }) => offset)).toEqual(namespace === "ab" ? [1, 2] : [1]);
        expect(store.namespaceOffset(namespace)).toBe(log.length);
      }
      await store.close();
    });

    it("has no entry for a change of fields", async () => {
      const store = await open();
      const created = creation();
      await store.commit(created);
      expect(await store.commit(update(created, { title: "new" }))).toMatchObject({ offset: 0 });
      expect(store.namespaceOffset(NAMESPACE)).toBe(1);
      expect(await store.commit(addition(created))).toMatchObject({ offset: 2 });
      await store.close();
    });

    it("says which revisions a deleted session had", async () => {
      const store = await open();
      const created = creation({}, 3);
      await store.commit(created);
      expect(await store.commit(deletion(created))).toMatchObject({ offset: 2 });
      const [last] = await store.readNamespaceLog({
        namespace: NAMESPACE,
        afterOffset: 1,
        limit: 9,
      });
      expect(last?.entry).toMatchObject({ deleted: true, firstRevision: 1, lastRevision: 3 });
      await store.close();
    });

    it.runIf(reopen)("goes on where it was after it was opened again", async () => {
      let store = await open();
      const namespaces = ["a", "ab", "b"];
      for (const namespace of namespaces) await store.commit(creation({ namespace }));
      store = (await reopen?.(store)) ?? store;
      for (const namespace of namespaces) {
        expect(store.namespaceOffset(namespace)).toBe(1);
        const next = creation({ namespace, sessionId: "next" });
        expect(await store.commit(next)).toMatchObject({ offset: 2 });
      }
      expect(store.namespaceOffset("c")).toBe(0);
      await store.close();
    });

    it("never reports an offset that is not acknowledged yet", async () => {
      const store = await open();
      const commit = store.commit(creation());
      expect(store.namespaceOffset(NAMESPACE)).toBe(0);
      await commit;
      expect(store.namespaceOffset(NAMESPACE)).toBe(1);
      await store.close();
    });
  });
}
