import { describe, expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { addition, creation, deletion, update } from "../support.ts";
import type { Engine } from "./index.ts";

async function due(store: Store, nowMs: number, limit = 100): Promise<string[]> {
  const found = await store.dueDeadlines({ nowMs, limit });
  return found.map(({ key, dueMs }) => `${key.sessionId} ${dueMs}`);
}

export function describeDeadlines({ open }: Engine): void {
  describe("deadlines", () => {
    it("are given earliest first, up to a time and a limit", async () => {
      const store = await open();
      const late = creation({ sessionId: "late", expireTimeMs: 70_000 });
      await store.commit(late);
      await store.commit(creation({ sessionId: "soon", expireTimeMs: 300 }));
      await store.commit(creation({ sessionId: "never" }));
      expect(await due(store, 299)).toEqual([]);
      expect(await due(store, 300)).toEqual(["soon 300"]);
      expect(await due(store, 2 ** 41)).toEqual(["soon 300", "late 70000"]);
      expect(await due(store, 2 ** 41, 1)).toEqual(["soon 300"]);
      expect((await store.dueDeadlines({ nowMs: 70_000, limit: 9 })).at(1)?.key).toEqual(late.key);
      await store.close();
    });

    it("move with the expire time and stay with an append", async () => {
      const store = await open();
      const created = creation({ expireTimeMs: 300 });
      await store.commit(created);
      const moved = update(created, { expireTimeMs: 500 });
      await store.commit(moved);
      expect(await due(store, 1_000)).toEqual(["demo 500"]);
      const appended = addition(moved);
      await store.commit(appended);
      expect(await due(store, 1_000)).toEqual(["demo 500"]);
      await store.commit(deletion(appended));
      expect(await due(store, 1_000)).toEqual([]);
      await store.close();
    });
  });
}
