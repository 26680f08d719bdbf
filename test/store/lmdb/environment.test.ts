import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../../src/store/lmdb/environment.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();

it("a write that begins while the driver ends the batch of another breaks nothing", async () => {
  const path = newFolder();
  const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
  const write = (name: string) => {
    const key = Buffer.from(name);
    return environment.write([{ table: "events", key, value: key }]);
  };
  let second: Promise<void> | undefined;
  environment.root.on("beforecommit", () => {
    // Behind the driver's task of this turn, and before the one that is ours.
    queueMicrotask(() => {
      second ??= write("second");
    });
  });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  await write("first");
  await second;
  await nextTurn();
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
  const keys = [...environment.tables.events.getKeys()].map(String);
  expect(keys).toEqual(["first", "second"]);
  await environment.close();
});
