import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { EventSchema, SessionSchema } from "@sessiond/contract";
import { SessionHeadSchema } from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import { derivedKeys } from "../../../src/store/indexes.ts";
import { eventKey, logKey, sessionKey, uidBytes } from "../../../src/store/keys.ts";
import {
  RECORD_TABLES,
  type RecordRange,
  type RecordTable,
  type Store,
} from "../../../src/store/store.ts";
import { addition, afterOf, creation, deletion, NAMESPACE, rename } from "../support.ts";
import type { Engine } from "./index.ts";

type Range = Pick<RecordRange, "prefix" | "after">;

/** Keys of a table, walked through in pages of a size, in hexadecimal digits. */
async function keysOf(store: Store, table: RecordTable, limit = 100, range: Range = {}) {
  const keys: string[] = [];
  let after: Uint8Array | undefined;
  for (;;) {
    const [page] = await store.records({ table, limit, ...range, ...(after && { after }) });
    if (page.length === 0) return keys;
    expect(page.length).toBeLessThanOrEqual(limit);
    keys.push(...page.map(({ key }) => hex(key)));
    after = page.at(-1)?.key;
  }
}

const hex = (key: Uint8Array) => Buffer.from(key).toString("hex");
const sorted = (keys: readonly Uint8Array[]) => keys.map(hex).sort();

export function describeRecords(engine: Engine): void {
  describe("records", () => {
    it("are every session, head, event, entry, list and deadline under its key, in order", async () => {
      const store = await engine.open();
      const changes = ["b", "a", "c"].map((sessionId, index) =>
        creation({ sessionId, agentId: "x", expireTimeMs: 5_000 + index }, 3),
      );
      for (const change of changes) await store.commit(change);
      const more = addition(changes[0] ?? creation(), 2);
      await store.commit(more);
      const sessions = [more, ...changes.slice(1)].map((change) => afterOf(change));
      const uids = sessions.map(({ session }) => session.uid);
      const expected = {
        sessions: sessions.map(({ session }) => sessionKey(session)),
        heads: uids.map(uidBytes),
        events: sessions.flatMap(({ session: { uid }, head }) =>
          Array.from({ length: head.revision }, (_, i) => eventKey({ uid, revision: i + 1 })),
        ),
        log: [1, 2, 3, 4].map((offset) => logKey({ namespace: NAMESPACE, offset })),
        indexes: sessions.flatMap(({ session }) => [...derivedKeys(session).indexes]),
        deadlines: sessions.flatMap(({ session }) => [...derivedKeys(session).deadlines]),
        requests: [],
        garbage: [],
        states: [],
        references: [],
        checkpoints: [],
        consumers: [],
        rollups: [],
      } satisfies Record<RecordTable, Uint8Array[]>;
      for (const table of RECORD_TABLES) {
        for (const limit of [1, 2, 100]) {
          expect(await keysOf(store, table, limit), table).toEqual(sorted(expected[table]));
        }
      }
      const { tables } = await store.size();
      for (const table of RECORD_TABLES) {
        const size = tables.find(({ name }) => name === table);
        expect(size?.entries, table).toBe(expected[table].length);
        if (expected[table].length > 0) expect(size?.bytes).toBeGreaterThan(0);
      }
      await store.close();
    });

    it("hold what was stored, and say where a batch goes on", async () => {
      const store = await engine.open();
      const change = creation({}, 3);
      await store.commit(change);
      const { session, head } = afterOf(change);
      const [sessions, heads, events] = await store.records(
        { table: "sessions", limit: 9 },
        { table: "heads", limit: 9 },
        { table: "events", limit: 9 },
      );
      const bytes = (content: unknown) => content as Uint8Array;
      expect(fromBinary(SessionSchema, bytes(sessions[0]?.content))).toEqual(session);
      expect(fromBinary(SessionHeadSchema, bytes(heads[0]?.content))).toEqual(head);
      expect(events.map(({ content }) => fromBinary(EventSchema, bytes(content)))).toEqual(
        change.events,
      );
      expect(events.map(({ continues }) => continues)).toEqual([true, true, false]);
      await store.close();
    });

    it("are found by the beginning of their keys, behind a place, up to a number of bytes", async () => {
      const store = await engine.open();
      const changes = ["a", "ab", "b"].map((sessionId) => creation({ sessionId }, 4));
      for (const change of changes) await store.commit(change);
      const [first, second] = changes.map(({ key }) => key);
      if (first === undefined || second === undefined) throw new Error("no sessions");
      const prefix = uidBytes(second.uid);
      const log = [1, 2, 3, 4].map((revision) => eventKey({ uid: second.uid, revision }));
      expect(await keysOf(store, "events", 3, { prefix })).toEqual(sorted(log));
      expect(await keysOf(store, "sessions", 3, { prefix: sessionKey(first) })).toEqual(
        sorted([sessionKey(first), sessionKey(second)]),
      );
      const [exact, none, behind] = await store.records(
        { table: "sessions", prefix: sessionKey(first), limit: 1 },
        { table: "heads", prefix: Buffer.alloc(16, 0xee), limit: 1 },
        { table: "events", prefix, after: log[1] ?? prefix, limit: 1 },
      );
      expect(exact.map(({ key }) => hex(key))).toEqual([hex(sessionKey(first))]);
      expect(none).toEqual([]);
      expect(behind.map(({ key }) => hex(key))).toEqual([hex(log[2] ?? prefix)]);
      const size = toBinary(EventSchema, changes[0]?.events[0] ?? ({} as never)).length;
      const [one, some] = await store.records(
        { table: "events", limit: 9, maxBytes: 1 },
        { table: "events", limit: 9, maxBytes: 3 * (size + 5) },
      );
      expect(one).toHaveLength(1);
      expect(some.length).toBeGreaterThanOrEqual(2);
      expect(some.length).toBeLessThan(9);
      await store.close();
    });

    it("go with a rename and a deletion", async () => {
      const store = await engine.open();
      const change = creation({ sessionId: "before", expireTimeMs: 1_000 }, 2);
      await store.commit(change);
      const renamed = rename(change, "after");
      await store.commit(renamed);
      const name = sessionKey({ namespace: NAMESPACE, sessionId: "after" });
      expect(await keysOf(store, "sessions")).toEqual([hex(name)]);
      expect(await keysOf(store, "heads")).toEqual([hex(uidBytes(change.key.uid))]);
      await store.commit(deletion({ ...renamed, key: { ...change.key, sessionId: "after" } }));
      for (const table of ["sessions", "heads", "indexes", "deadlines"] as const) {
        expect(await keysOf(store, table), table).toEqual([]);
      }
      await store.close();
    });
  });
}
