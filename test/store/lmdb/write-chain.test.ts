import { open } from "lmdb";
import { expect, it } from "vitest";
import { WriteChain } from "../../../src/store/lmdb/write-chain.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();

it("a write is made only after the one that was handed over before it", async () => {
  const root = open<Buffer, Buffer>({
    path: newFolder(),
    overlappingSync: false,
    maxDbs: 4,
    encoding: "binary",
    keyEncoding: "binary",
  });
  const table = root.openDB<Buffer, Buffer>({
    name: "data",
    encoding: "binary",
    keyEncoding: "binary",
  });
  const put = (name: string) => () => void table.put(Buffer.from(name), Buffer.from("there"));
  const chain = WriteChain.open(root);
  // Begins at the same number, which the writes of the first then leave behind.
  const astray = WriteChain.open(root);
  expect(await Promise.all([chain?.write(put("a")), chain?.write(put("b"))])).toEqual([true, true]);
  expect(await Promise.all([astray?.write(put("c")), astray?.write(put("d"))])).toEqual([
    false,
    false,
  ]);
  const reopened = WriteChain.open(root);
  expect(await reopened?.write(put("e"))).toBe(true);
  expect([...table.getKeys()].map((key) => key.toString())).toEqual(["a", "b", "e"]);
  await root.close();
});
