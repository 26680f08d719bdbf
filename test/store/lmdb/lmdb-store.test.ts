import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import type { Store } from "../../../src/store/store.ts";
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
