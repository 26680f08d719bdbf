import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  ConsumerRecordSchema,
  StateRecordSchema,
  StoreHeaderSchema,
} from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import { StartError } from "../../../src/errors.ts";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../../src/store/lmdb/environment.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { encodeRecord } from "../../../src/store/records.ts";
import { SCHEMA_VERSION } from "../../../src/store/schema.ts";
import type { StateScope } from "../../../src/store/store.ts";
import { addition, creation, rejection, withoutSession } from "../support.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();

/** Message of the StartError that opening the folder gives. */
async function startError(path: string): Promise<string> {
  const error = await rejection(LmdbStore.open({ path }));
  expect(error).toBeInstanceOf(StartError);
  return error instanceof Error ? error.message : "";
}

async function writeHeader(path: string, schemaVersion: number): Promise<void> {
  const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
  const key = Buffer.from("header");
  const header = create(StoreHeaderSchema, { ...environment.header, schemaVersion });
  const value = encodeRecord(key, toBinary(StoreHeaderSchema, header));
  await environment.write([{ table: "meta", key, value }]);
  await environment.close();
}

/** Another process that has the folder open. */
async function holder(path: string): Promise<ChildProcess> {
  const module = new URL("../../../src/store/lmdb/lmdb-store.ts", import.meta.url).href;
  const script = `
    const { LmdbStore } = await import(${JSON.stringify(module)});
    await LmdbStore.open({ path: ${JSON.stringify(path)} });
    process.stdout.write("open");
    setInterval(() => {}, 1_000_000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}

describe("opening an LMDB store", () => {
  it("makes the folder, and finds the same store again", async () => {
    const path = join(newFolder(), "a", "b");
    const store = await LmdbStore.open({ path });
    const { storeId } = store.capabilities;
    await store.close();
    await using again = await LmdbStore.open({ path });
    expect(again.capabilities).toMatchObject({ storeId, schemaVersion: SCHEMA_VERSION });
  });

  it("fails while another process has the folder, and works once that was killed", async () => {
    const path = newFolder();
    const child = await holder(path);
    const message = await startError(path);
    expect(message).toContain(`process ${child.pid} since 2`);
    expect(message).toContain(path);
    child.kill("SIGKILL");
    await once(child, "exit");
    await using store = await LmdbStore.open({ path });
    await store.commit(creation());
  });

  it("fails while this process has the folder open already", async () => {
    const path = newFolder();
    await using _store = await LmdbStore.open({ path });
    expect(await startError(path)).toContain(`process ${process.pid}`);
  });

  it("fails when a file is where the folder should be", async () => {
    const path = join(newFolder(), "file");
    writeFileSync(path, "not a folder");
    expect(await startError(path)).toContain(path);
    expect(await startError(join(path, "below"))).toContain("ENOTDIR");
  });

  it("fails for data of a newer version, naming both versions", async () => {
    const path = newFolder();
    await writeHeader(path, SCHEMA_VERSION + 7);
    expect(await startError(path)).toContain(
      `written by a newer sessiond (schema ${SCHEMA_VERSION + 7}, this one reads up to ${SCHEMA_VERSION}); use that version`,
    );
    await writeHeaderUnchecked(path);
    await using store = await LmdbStore.open({ path });
    expect(store.capabilities.schemaVersion).toBe(SCHEMA_VERSION);
  });

  it("takes a folder from before there were states", async () => {
    const path = newFolder();
    const created = creation();
    const old = await LmdbStore.open({ path });
    await old.commit(created);
    await old.close();
    const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
    await environment.tables.states.drop();
    await environment.close();

    await using store = await LmdbStore.open({ path });
    const app: StateScope = { of: "app", namespace: "default" };
    expect(await store.getSession(created.key)).toEqual(created.after);
    expect(await store.getState(app)).toBeUndefined();
    const record = create(StateRecordSchema, { values: { a: 1 }, version: "v" });
    await store.commit({ ...addition(created), states: [{ scope: app, record }] });
    expect(await store.getState(app)).toEqual(record);
  });

  it("takes a folder from before there were consumers", async () => {
    const path = newFolder();
    const old = await LmdbStore.open({ path });
    await old.commit(creation());
    await old.close();
    const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
    await environment.tables.consumers.drop();
    await environment.close();

    await using store = await LmdbStore.open({ path });
    const name = { namespace: "default", name: "audit" };
    expect(await store.getConsumer(name)).toBeUndefined();
    const record = create(ConsumerRecordSchema, { place: 1n });
    await store.commit({ ...withoutSession, consumers: [{ ...name, record }] });
    expect(await store.getConsumer(name)).toEqual(record);
  });

  it("fails for a file that is no store, and leaves it as it is", async () => {
    const path = newFolder();
    const content = "this is somebody's diary\n".repeat(1_000);
    writeFileSync(join(path, "data.mdb"), content);
    expect(await startError(path)).toContain("restore it from a backup");
    expect(readFileSync(join(path, "data.mdb"), "utf8")).toBe(content);
  });

  it("fails for a file that was cut off", async () => {
    const path = newFolder();
    const store = await LmdbStore.open({ path });
    for (let i = 0; i < 20; i++) await store.commit(creation({ sessionId: `s${i}` }, 20));
    await store.close();
    truncateSync(join(path, "data.mdb"), 3 * 4_096);
    expect(await startError(path)).toContain("restore it from a backup");
  });

  it("fails for a damaged header", async () => {
    const path = newFolder();
    await writeHeader(path, 0);
    expect(await startError(path)).toContain("damaged header");
  });
});

/** Writes the right version over a newer one, which cannot be opened. */
async function writeHeaderUnchecked(path: string): Promise<void> {
  const { open } = await import("lmdb");
  const binary = { encoding: "binary", keyEncoding: "binary" } as const;
  const root = open({ path, noSubdir: false, maxDbs: 32, mapSize: 2 ** 30, ...binary });
  const key = Buffer.from("header");
  const header = create(StoreHeaderSchema, {
    schemaVersion: SCHEMA_VERSION,
    storeId: new Uint8Array(16),
  });
  const value = encodeRecord(key, toBinary(StoreHeaderSchema, header));
  await root.openDB({ name: "meta", ...binary }).put(key, value);
  await root.close();
}
