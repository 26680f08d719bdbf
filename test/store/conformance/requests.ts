import { create } from "@bufbuild/protobuf";
import { RequestRecordSchema } from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import { requestKey } from "../../../src/store/keys.ts";
import type { Change } from "../../../src/store/store.ts";
import { addition, creation, deletion, maintainAll, rejection } from "../support.ts";
import type { Engine } from "./index.ts";

type Request = NonNullable<Change["request"]>;

/** Engines may take a quarter of an hour to notice; times here are hours. */
const hour = 60 * 60 * 1_000;

function request(requestId: string, expireTime: number): Request {
  return {
    key: requestKey({ namespace: "default", sessionId: "demo", requestId }),
    record: create(RequestRecordSchema, {
      payloadHash: new Uint8Array(32).fill(7),
      response: new TextEncoder().encode(`answer to ${requestId}`),
    }),
    expireTimeMs: expireTime * hour,
  };
}

export function describeRequests({ open }: Engine): void {
  describe("request records", () => {
    it("are found under their key, stored with their change", async () => {
      const store = await open();
      const first = request("r1", 1_000);
      const created = { ...creation(), request: first };
      expect(await store.getRequest(first.key)).toBeUndefined();
      await store.commit(created);
      expect(await store.getRequest(first.key)).toEqual(first.record);
      const refused = request("r2", 1_000);
      await rejection(store.commit({ ...creation(), request: refused }));
      expect(await store.getRequest(refused.key)).toBeUndefined();
      await store.close();
    });

    it("are removed once they have expired, and not before", async () => {
      const store = await open();
      let change: Change = creation();
      await store.commit(change);
      for (let i = 0; i < 20; i++) {
        change = { ...addition(change), request: request(`r${i}`, 100 + i) };
        await store.commit(change);
      }
      await maintainAll(store, 100 * hour);
      expect(await store.getRequest(request("r0", 0).key)).toBeDefined();
      await maintainAll(store, 110 * hour, 3);
      for (let i = 0; i < 20; i++) {
        const found = await store.getRequest(request(`r${i}`, 0).key);
        expect(found === undefined, `r${i}`).toBe(i < 10);
      }
      await store.close();
    });

    it("written again live as long as the newer one says", async () => {
      const store = await open();
      const created = { ...creation(), request: request("r", 100) };
      await store.commit(created);
      await store.commit({ ...addition(created), request: request("r", 500) });
      await maintainAll(store, 200 * hour);
      expect(await store.getRequest(request("r", 0).key)).toBeDefined();
      await maintainAll(store, 501 * hour);
      expect(await store.getRequest(request("r", 0).key)).toBeUndefined();
      await store.close();
    });

    it("are kept for a session that is not there, and change nothing else", async () => {
      const store = await open();
      const kept = request("r", 100);
      const { key } = creation();
      const { offset } = await store.commit({ key, events: [], request: kept });
      expect(offset).toBe(0);
      expect(await store.getRequest(kept.key)).toEqual(kept.record);
      expect(await store.getSession(key)).toBeUndefined();
      expect(await store.maintain({ nowMs: 0, limit: 10 })).toBeTypeOf("boolean");
      await store.close();
    });

    it("stay when their session is deleted", async () => {
      const store = await open();
      const created = { ...creation(), request: request("r", 100) };
      await store.commit(created);
      await store.commit(deletion(created));
      await maintainAll(store, 50 * hour);
      expect(await store.getRequest(request("r", 0).key)).toBeDefined();
      await store.close();
    });
  });
}
