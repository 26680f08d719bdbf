import { Durability } from "@sessiond/contract";
import { expect, it } from "vitest";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { describeStore } from "../conformance/index.ts";

describeStore({ name: "memory", open: () => MemoryStore.open() });

it("a memory store says that it is not durable, and who it is", async () => {
  const storeId = new Uint8Array(16).fill(3);
  await using store = await MemoryStore.open({ storeId });
  expect(store.capabilities).toMatchObject({ storeId, durability: Durability.NOT_DURABLE });
  await using other = await MemoryStore.open();
  expect(other.capabilities.storeId).not.toEqual(storeId);
});
