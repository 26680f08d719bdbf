import { expect, test } from "vitest";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { TABLE_NAMES } from "../../../src/store/lmdb/tables.ts";
import { RECORD_TABLES, type Store } from "../../../src/store/store.ts";
import { describeStore } from "../conformance/index.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();
const folders = new WeakMap<Store, string>();

async function open(path = newFolder()): Promise<Store> {
  const store = await LmdbStore.open({ path });
  folders.set(store, path);
  return store;
}

describeStore({
  name: "LMDB",
  open: () => open(),
  async reopen(store) {
    await store.close();
    return open(folders.get(store));
  },
});

test("what looks after a store looks at every table but the header's", () => {
  const names: readonly string[] = TABLE_NAMES;
  expect([...RECORD_TABLES, "meta"].sort()).toEqual([...names].sort());
});
