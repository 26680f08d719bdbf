import { create } from "@bufbuild/protobuf";
import { type ConsumerRecord, ConsumerRecordSchema } from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import type { ConsumerChange, Store } from "../../../src/store/store.ts";
import { addition, creation, deletion, rejection, withoutSession } from "../support.ts";
import type { Engine } from "./index.ts";

const record = (place: number): ConsumerRecord =>
  create(ConsumerRecordSchema, { uid: new Uint8Array(16), place: BigInt(place) });

const put = (name: string, place = 1, namespace = "default"): ConsumerChange => ({
  namespace,
  name,
  record: record(place),
});

async function namesOf(store: Store, namespace: string, limit = 100): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const last = names.at(-1);
    const behind = last === undefined ? {} : { after: last };
    const page = await store.listConsumers({ namespace, ...behind, limit });
    if (page.length === 0) return names;
    expect(page.length).toBeLessThanOrEqual(limit);
    names.push(...page.map(({ name }) => name));
  }
}

export function describeConsumers({ open, reopen }: Engine): void {
  describe("consumers", () => {
    it("are read back as they were put, alone or with a change of a session, or not at all", async () => {
      const store = await open();
      const created = creation();
      const audit = { namespace: "default", name: "audit" };
      expect(await store.getConsumer(audit)).toBeUndefined();
      await rejection(store.commit({ ...addition(created), consumers: [put("audit")] }));
      expect(await store.getConsumer(audit)).toBeUndefined();
      const { offset } = await store.commit({
        ...withoutSession,
        consumers: [put("audit", 2 ** 40), put("audit", 7, "other")],
      });
      expect(offset).toBe(0);
      await store.commit({ ...created, consumers: [put("with it")] });
      expect(await store.getConsumer(audit)).toEqual(record(2 ** 40));
      expect(await store.getConsumer({ ...audit, namespace: "other" })).toEqual(record(7));
      expect(await namesOf(store, "default")).toEqual(["audit", "with it"]);
      await store.close();
    });

    it("change in the order of the calls, and go one by one", async () => {
      const store = await open();
      const removal = (name: string): ConsumerChange => ({ namespace: "default", name });
      await Promise.all(
        [[put("a"), put("b")], [put("a", 2)], [removal("b"), removal("nobody")], [put("a", 3)]].map(
          (consumers) => store.commit({ ...withoutSession, consumers }),
        ),
      );
      expect(await store.listConsumers({ namespace: "default", limit: 9 })).toEqual([
        { name: "a", record: record(3) },
      ]);
      await store.close();
    });

    it("are listed by name, in pages, those of their namespace alone", async () => {
      const store = await open();
      const names = ["a", "a.b", "aa", "b", "ß", "🙂"];
      for (const namespace of ["n", "nn"]) {
        const consumers = names.toReversed().map((name) => put(name, 1, namespace));
        await store.commit({ ...withoutSession, consumers });
      }
      for (const limit of [1, 2, 100]) expect(await namesOf(store, "nn", limit)).toEqual(names);
      expect(await namesOf(store, "n")).toEqual(names);
      expect(await namesOf(store, "nnn")).toEqual([]);
      expect(await store.listConsumers({ namespace: "n", limit: 0 })).toEqual([]);
      await store.close();
    });

    it.runIf(reopen)("survive that the store is opened again", async () => {
      const store = await open();
      await store.commit({ ...withoutSession, consumers: [put("audit", 5)] });
      const again = await reopen?.(store);
      expect(await again?.getConsumer({ namespace: "default", name: "audit" })).toEqual(record(5));
      await again?.close();
    });
  });

  describe("namespaces", () => {
    it("are those that have a log, in pages, also when their sessions are gone", async () => {
      const store = await open();
      expect(await store.listNamespaces({ limit: 9 })).toEqual([]);
      const names = ["a", "b", "ab", "ba", "n".repeat(64)];
      const created = names.toReversed().map((namespace) => creation({ namespace }));
      for (const change of created) await store.commit(change);
      for (const change of created.slice(0, 2)) await store.commit(deletion(change));
      await store.commit({ ...withoutSession, consumers: [put("audit", 1, "without a log")] });
      expect(await store.listNamespaces({ limit: 9 })).toEqual(names);
      expect(await store.listNamespaces({ limit: 2 })).toEqual(names.slice(0, 2));
      expect(await store.listNamespaces({ after: "b", limit: 2 })).toEqual(names.slice(2, 4));
      expect(await store.listNamespaces({ after: "n".repeat(64), limit: 2 })).toEqual([]);
      await store.close();
    });
  });
}
