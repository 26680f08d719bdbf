import { create, type JsonObject } from "@bufbuild/protobuf";
import { type StateRecord, StateRecordSchema } from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import type { Change, StateChange, StateScope, Store } from "../../../src/store/store.ts";
import { addition, creation, deletion, NAMESPACE, rejection, rename } from "../support.ts";
import type { Engine } from "./index.ts";

const app: StateScope = { of: "app", namespace: NAMESPACE };
const userOf = (userId: string): StateScope => ({ of: "user", namespace: NAMESPACE, userId });
const ownOf = ({ key }: Change): StateScope => ({
  of: "session",
  namespace: key.namespace,
  uid: key.uid,
});

function record(values: JsonObject, version = "v1"): StateRecord {
  return create(StateRecordSchema, { values, version });
}

const put = (scope: StateScope, values: JsonObject): StateChange => ({
  scope,
  record: record(values),
});

/** A change of states that concerns no session. */
function withoutSession(states: readonly StateChange[]): Change {
  const uid = "00000000-0000-0000-0000-000000000000";
  return { key: { namespace: NAMESPACE, sessionId: "", uid }, events: [], states };
}

const readAll = (store: Store, scopes: readonly StateScope[]) =>
  Promise.all(scopes.map((scope) => store.getState(scope)));

export function describeStates({ open, reopen }: Engine): void {
  describe("states", () => {
    it("are read back as they were put, by scope, with their change or not at all", async () => {
      const store = await open();
      const created = creation();
      const own = ownOf(created);
      const odd = JSON.parse('{"constructor":1,"__proto__":{"x":[null]},"":-0}') as JsonObject;
      expect(await readAll(store, [own, userOf("u"), app])).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      const states = [put(own, odd), put(userOf("u"), { of: "u" }), put(app, { of: "app" })];
      await rejection(store.commit({ ...addition(created), states }));
      expect(await store.getState(own)).toBeUndefined();
      await store.commit({ ...created, states });
      const [found, user, shared] = await readAll(store, [own, userOf("u"), app]);
      expect(JSON.stringify(found?.values)).toBe(JSON.stringify(odd));
      expect([user, shared]).toEqual([record({ of: "u" }), record({ of: "app" })]);
      expect(await store.getState(userOf("other"))).toBeUndefined();
      expect(await store.getState({ of: "app", namespace: "other" })).toBeUndefined();
      await store.close();
    });

    it("are replaced and removed one by one", async () => {
      const store = await open();
      const created = creation();
      await store.commit({ ...created, states: [put(app, { a: 1 }), put(userOf("u"), { b: 1 })] });
      const replaced = addition(created);
      await store.commit({ ...replaced, states: [put(app, { a: "x".repeat(5_000) })] });
      expect(await store.getState(app)).toEqual(record({ a: "x".repeat(5_000) }));
      await store.commit({ ...addition(replaced), states: [{ scope: app }] });
      expect(await store.getState(app)).toBeUndefined();
      expect(await store.getState(userOf("u"))).toEqual(record({ b: 1 }));
      await store.close();
    });

    it("change without a session, also the same scope twice at once, in order", async () => {
      const store = await open();
      const commits = [
        store.commit(withoutSession([put(userOf("u"), { a: 1 })])),
        store.commit(withoutSession([{ scope: userOf("u") }])),
        store.commit(withoutSession([{ scope: userOf("nobody") }])),
        store.commit(withoutSession([put(userOf("v"), { a: 2 })])),
      ];
      for (const { offset } of await Promise.all(commits)) expect(offset).toBe(0);
      expect(await store.getState(userOf("u"))).toBeUndefined();
      expect(await store.getState(userOf("v"))).toEqual(record({ a: 2 }));
      expect(await store.getSession({ namespace: NAMESPACE, sessionId: "" })).toBeUndefined();
      await store.close();
    });

    it("of a session go with it, and those it shares stay", async () => {
      const store = await open();
      const gone = creation({ userId: "u" });
      const kept = creation({ sessionId: "kept", userId: "u" });
      const states = [put(userOf("u"), { b: 1 }), put(app, { c: 1 })];
      await store.commit({ ...gone, states: [put(ownOf(gone), { a: 1 }), ...states] });
      await store.commit({ ...kept, states: [put(ownOf(kept), { a: 2 })] });
      await store.commit(deletion(gone));
      expect(await readAll(store, [ownOf(gone), ownOf(kept), userOf("u"), app])).toEqual([
        undefined,
        record({ a: 2 }),
        record({ b: 1 }),
        record({ c: 1 }),
      ]);
      await store.close();
    });

    it("of a session stay with its log when it is renamed", async () => {
      const store = await open();
      const created = creation();
      await store.commit({ ...created, states: [put(ownOf(created), { a: 1 })] });
      await store.commit(rename(created, "demo~1"));
      await store.commit(creation());
      expect(await store.getState(ownOf(created))).toEqual(record({ a: 1 }));
      await store.close();
    });

    it.runIf(reopen)("survive that the store is opened again", async () => {
      const store = await open();
      await store.commit({ ...creation(), states: [put(app, { a: 1 })] });
      const again = await reopen?.(store);
      expect(await again?.getState(app)).toEqual(record({ a: 1 }));
      await again?.close();
    });
  });
}
