import { SessionParentKind, SessionState } from "@sessiond/contract";
import { describe, expect, it } from "vitest";
import type { SessionIndex, SessionQuery, Store } from "../../../src/store/store.ts";
import { childOf, creation, deletion, NAMESPACE, rename, update } from "../support.ts";
import type { Engine } from "./index.ts";

const ALL: SessionIndex = { by: "all" };

async function ids(store: Store, query: Partial<SessionQuery>): Promise<string[]> {
  const found = await store.listSessions({
    namespace: NAMESPACE,
    index: ALL,
    limit: 100,
    ...query,
  });
  return found.map(({ session }) => session.sessionId);
}

/** Seven sessions, two of them made in the same millisecond. */
async function fill(store: Store): Promise<void> {
  for (const [sessionId, createTimeMs] of [
    ["c", 1],
    ["b", 2],
    ["a", 2],
    ["d", 300],
    ["e", 70_000],
    ["f", 2 ** 33],
    ["g", 2 ** 41],
  ] as const) {
    await store.commit(creation({ sessionId, createTimeMs, agentId: createTimeMs > 2 ? "x" : "" }));
  }
}

export function describeLists({ open }: Engine): void {
  describe("lists of sessions", () => {
    it("are in order of create time, then id, in both directions", async () => {
      const store = await open();
      await fill(store);
      expect(await ids(store, {})).toEqual(["c", "a", "b", "d", "e", "f", "g"]);
      expect(await ids(store, { reverse: true })).toEqual(["g", "f", "e", "d", "b", "a", "c"]);
      await store.close();
    });

    it.each([false, true])("are the same in pages of any size (reverse: %s)", async (reverse) => {
      const store = await open();
      await fill(store);
      const whole = await ids(store, { reverse });
      for (let limit = 1; limit <= 8; limit++) {
        const paged: string[] = [];
        let after: SessionQuery["after"];
        // Bounded, so that a page that repeats fails the test instead of going on for ever.
        for (let pages = 0; pages <= whole.length; pages++) {
          const page = await store.listSessions({
            namespace: NAMESPACE,
            index: ALL,
            reverse,
            limit,
            ...(after && { after }),
          });
          const last = page.at(-1)?.session;
          if (last === undefined) break;
          paged.push(...page.map(({ session }) => session.sessionId));
          const seconds = Number(last.createTime?.seconds ?? 0);
          const createTimeMs = seconds * 1_000 + (last.createTime?.nanos ?? 0) / 1e6;
          after = { createTimeMs, sessionId: last.sessionId };
        }
        expect(paged).toEqual(whole);
      }
      await store.close();
    });

    it("continue behind a place whose session is gone", async () => {
      const store = await open();
      await fill(store);
      const after = { createTimeMs: 250, sessionId: "never there" };
      expect(await ids(store, { after })).toEqual(["d", "e", "f", "g"]);
      expect(await ids(store, { after, reverse: true })).toEqual(["b", "a", "c"]);
      await store.close();
    });

    it("can be of one agent, one user or one state", async () => {
      const store = await open();
      await store.commit(creation({ sessionId: "1", agentId: "a", userId: "u" }));
      await store.commit(creation({ sessionId: "2", agentId: "ab", userId: "u" }));
      await store.commit(creation({ sessionId: "3", agentId: "a\0b", userId: "a" }));
      await store.commit(creation({ sessionId: "4", state: SessionState.CREATED }));
      expect(await ids(store, { index: { by: "agent", value: "a" } })).toEqual(["1"]);
      expect(await ids(store, { index: { by: "agent", value: "a\0b" } })).toEqual(["3"]);
      expect(await ids(store, { index: { by: "user", value: "u" } })).toEqual(["1", "2"]);
      const created: SessionIndex = { by: "state", value: SessionState.CREATED };
      expect(await ids(store, { index: created })).toEqual(["4"]);
      expect(await ids(store, { index: { by: "user", value: "nobody" } })).toEqual([]);
      await store.close();
    });

    it("can be of the children of one session, by its uid; forks and mere names are in none", async () => {
      const store = await open();
      const parent = creation({ sessionId: "parent" });
      const { uid } = parent.key;
      const other = creation({ sessionId: "other" });
      await store.commit(parent);
      await store.commit(other);
      const second = creation({ sessionId: "2", parent: childOf(uid), createTimeMs: 2 });
      await store.commit(second);
      await store.commit(creation({ sessionId: "1", parent: childOf(uid), createTimeMs: 3 }));
      await store.commit(creation({ sessionId: "3", parent: childOf(other.key.uid) }));
      const fork = childOf(uid, SessionParentKind.FORK);
      await store.commit(creation({ sessionId: "fork", parent: fork }));
      await store.commit(creation({ sessionId: "imported", parent: childOf("") }));
      const index: SessionIndex = { by: "parent", value: uid };
      expect(await ids(store, { index })).toEqual(["2", "1"]);
      expect(await ids(store, { index, reverse: true, limit: 1 })).toEqual(["1"]);
      // Wherever the parent and the children go by name.
      await store.commit(rename(parent, "parent~1"));
      const renamed = rename(second, "2~1");
      await store.commit(renamed);
      expect(await ids(store, { index })).toEqual(["2~1", "1"]);
      await store.commit(deletion({ ...renamed, key: { ...second.key, sessionId: "2~1" } }));
      expect(await ids(store, { index })).toEqual(["1"]);
      expect(await ids(store, { namespace: "another", index })).toEqual([]);
      await store.close();
    });

    it("follow a change of state and agent", async () => {
      const store = await open();
      const active: SessionIndex = { by: "state", value: SessionState.ACTIVE };
      const failed: SessionIndex = { by: "state", value: SessionState.FAILED };
      const one = creation({ sessionId: "1", agentId: "old" });
      await store.commit(one);
      await store.commit(creation({ sessionId: "2" }));
      expect(await ids(store, { index: active })).toEqual(["1", "2"]);
      await store.commit(update(one, { state: SessionState.FAILED, agentId: "new" }));
      expect(await ids(store, { index: active })).toEqual(["2"]);
      expect(await ids(store, { index: failed })).toEqual(["1"]);
      expect(await ids(store, { index: { by: "agent", value: "old" } })).toEqual([]);
      expect(await ids(store, { index: { by: "agent", value: "new" } })).toEqual(["1"]);
      expect(await ids(store, {})).toEqual(["1", "2"]);
      await store.close();
    });

    it("are Isolated by namespace", async () => {
      const store = await open();
      await store.commit(creation({ namespace: "a", sessionId: "in a" }));
      await store.commit(creation({ namespace: "ab", sessionId: "in ab" }));
      expect(await ids(store, { namespace: "a" })).toEqual(["in a"]);
      expect(await ids(store, { namespace: "a", reverse: true })).toEqual(["in a"]);
      expect(await ids(store, { namespace: "b" })).toEqual([]);
      await store.close();
    });
  });
}
