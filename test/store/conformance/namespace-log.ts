import { describe, expect, it } from "vitest";
import { limits } from "../../../src/limits.ts";
import { uidBytes } from "../../../src/store/keys.ts";
import type { Store } from "../../../src/store/store.ts";
import { addition, creation, deletion, maintainAll, NAMESPACE, update } from "../support.ts";
import type { Engine } from "./index.ts";

const ttlMs = limits.deletionNoticeTtlMs;
/** Behind it, a pass through the logs is due again. */
const passMs = 15 * 60_000;

export function describeNamespaceLog(engine: Engine): void {
  const { open, reopen } = engine;
  describeShortening(engine);
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

/** What is left of a log, as `<offset> <session id>`, with the last revision or "deleted". */
async function logOf(store: Store, namespace = NAMESPACE): Promise<string[]> {
  const log = await store.readNamespaceLog({ namespace, afterOffset: 0, limit: 1e4 });
  return log.map(({ offset, entry: { sessionId, lastRevision, deleted } }) =>
    [offset, sessionId, deleted ? "deleted" : lastRevision].join(" "),
  );
}

function describeShortening({ open, reopen }: Engine): void {
  describe("housekeeping in the log of a namespace", () => {
    it("leaves of a deleted session its deletion, and of others everything", async () => {
      for (const limit of [1, 2, 3, 50]) {
        const store = await open();
        const [gone, kept] = [creation({ sessionId: "gone" }), creation({ sessionId: "kept" })];
        const kept2 = addition(kept, 2);
        const gone2 = addition(gone, 3);
        const elsewhere = creation({ namespace: "elsewhere" });
        for (const change of [
          gone,
          kept,
          gone2,
          kept2,
          elsewhere,
          deletion(gone2, 10),
          addition(kept2),
        ]) {
          await store.commit(change);
        }
        await maintainAll(store, 20, limit);
        const left = ["2 kept 1", "4 kept 3", "5 gone deleted", "6 kept 4"];
        expect(await logOf(store)).toEqual(left);
        expect(await logOf(store, "elsewhere")).toEqual(["1 demo 1"]);
        expect(store.namespaceGoneThrough(NAMESPACE)).toBe(0);
        expect(store.namespaceOffset(NAMESPACE)).toBe(6);
        expect(await store.commit(creation({ sessionId: "next" }))).toMatchObject({ offset: 7 });
        await store.close();
      }
    });

    it("passes over holes when it is read in pages", async () => {
      const store = await open();
      const gone = creation({ sessionId: "gone" });
      await store.commit(gone);
      for (const sessionId of ["a", "b"]) await store.commit(creation({ sessionId }));
      await store.commit(deletion(gone));
      await maintainAll(store, 0);
      const page = async (afterOffset: number) =>
        (await store.readNamespaceLog({ namespace: NAMESPACE, afterOffset, limit: 1 })).map(
          ({ offset }) => offset,
        );
      expect([await page(0), await page(1), await page(2), await page(3), await page(4)]).toEqual([
        [2],
        [2],
        [3],
        [4],
        [],
      ]);
      await store.close();
    });

    it("removes deletions when their time is over, and says how far", async () => {
      const store = await open();
      for (const [i, sessionId] of ["a", "b", "c"].entries()) {
        const created = creation({ sessionId });
        await store.commit(created);
        await store.commit(deletion(created, i * passMs));
      }
      await store.commit(creation({ sessionId: "kept" }));
      await maintainAll(store, ttlMs);
      expect(await logOf(store)).toEqual(["2 a deleted", "4 b deleted", "6 c deleted", "7 kept 1"]);
      // Nothing was deleted since then: it is time alone that makes a pass due.
      await maintainAll(store, ttlMs + passMs);
      expect(await logOf(store)).toEqual(["4 b deleted", "6 c deleted", "7 kept 1"]);
      expect(store.namespaceGoneThrough(NAMESPACE)).toBe(2);
      await maintainAll(store, ttlMs + 9 * passMs);
      expect(await logOf(store)).toEqual(["7 kept 1"]);
      expect(store.namespaceGoneThrough(NAMESPACE)).toBe(6);
      expect(store.namespaceGoneThrough("elsewhere")).toBe(0);
      await store.close();
    });

    it("removes no deletion before those in front of it, and one from a wrong clock like an old one", async () => {
      const store = await open();
      for (const [sessionId, deleteMs] of [
        ["a", 5 * passMs],
        ["b", 0],
        ["c", 1e15],
      ] as const) {
        const created = creation({ sessionId });
        await store.commit(created);
        await store.commit(deletion(created, deleteMs));
      }
      await store.commit(creation({ sessionId: "kept" }));
      await maintainAll(store, ttlMs + passMs);
      expect(await logOf(store)).toEqual(["2 a deleted", "4 b deleted", "6 c deleted", "7 kept 1"]);
      expect(store.namespaceGoneThrough(NAMESPACE)).toBe(0);
      await maintainAll(store, ttlMs + 6 * passMs);
      expect(await logOf(store)).toEqual(["7 kept 1"]);
      expect(store.namespaceGoneThrough(NAMESPACE)).toBe(6);
      await store.close();
    });

    it("keeps the newest entry, so that no offset is given twice", async () => {
      let store = await open();
      const created = creation({ sessionId: "gone" });
      await store.commit(created);
      await store.commit(deletion(created));
      for (const nowMs of [2 * ttlMs, 3 * ttlMs]) {
        await maintainAll(store, nowMs);
        expect(await logOf(store)).toEqual(["2 gone deleted"]);
        store = (await reopen?.(store)) ?? store;
        expect(store.namespaceOffset(NAMESPACE)).toBe(2);
      }
      expect(await store.commit(creation({ sessionId: "next" }))).toMatchObject({ offset: 3 });
      await maintainAll(store, 4 * ttlMs);
      expect(await logOf(store)).toEqual(["3 next 1"]);
      store = (await reopen?.(store)) ?? store;
      expect(store.namespaceGoneThrough(NAMESPACE)).toBe(2);
      expect(await store.commit(creation({ sessionId: "last" }))).toMatchObject({ offset: 4 });
      await store.close();
    });

    it("goes on while sessions come and go", async () => {
      const store = await open();
      const kept: string[] = [];
      let nowMs = 0;
      for (let round = 0; round < 30; round++) {
        const changes = Array.from({ length: 20 }, (_, i) =>
          creation({ sessionId: `${round}-${i}` }),
        );
        const commits = changes.flatMap((change, i) => [
          store.commit(change),
          i % 3 === 0 ? store.commit(addition(change)) : store.commit(deletion(change, nowMs)),
        ]);
        nowMs += passMs / 3;
        await Promise.all([...commits, store.maintain({ nowMs, limit: 30 })]);
        kept.push(...changes.filter((_, i) => i % 3 === 0).map(({ key }) => key.sessionId));
      }
      await maintainAll(store, nowMs + passMs);
      const log = await logOf(store);
      for (const sessionId of kept) {
        const own = log.filter((line) => line.split(" ")[1] === sessionId);
        expect(own.map((line) => line.split(" ")[2])).toEqual(["1", "2"]);
      }
      expect(log.filter((line) => line.endsWith("deleted"))).toHaveLength(30 * 13);
      expect(log).toHaveLength(30 * 13 + 2 * kept.length);
      await store.close();
    });
  });
}
