import { toJson } from "@bufbuild/protobuf";
import { ExportSessionResponseSchema, SessionParentKind } from "@sessiond/contract";
import { expect, test } from "vitest";
import { DataLossError } from "../../../src/errors.ts";
import { sessionKey } from "../../../src/store/keys.ts";
import { copyRecords } from "../../../src/store/lmdb/copy.ts";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../../src/store/lmdb/environment.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { temporaryFolders } from "../../store/lmdb/folders.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { checkStore } from "../../support/store-check.ts";
import { exported, imported } from "../bundles/support.ts";
import { fork } from "../history/support.ts";
import { verify } from "../upkeep/support.ts";
import { child, idsOf, remove } from "./support.ts";

const newFolder = temporaryFolders();

async function family(domain: TestDomain): Promise<void> {
  await domain.create({ session: { sessionId: "trip" } });
  await child(domain, "search", "trip");
  await child(domain, "page", "search");
  await domain.append({ sessionId: "search", events: [userText("found")] });
  await fork(domain, { sessionId: "search", newSessionId: "fork" });
}

test("a store that is copied record by record has the lists of children anew", async () => {
  const path = newFolder();
  {
    await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
    await family(domain);
    expect((await verify(domain.store)).findings).toEqual([]);
  }
  const copy = newFolder();
  const options = { mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 };
  const from = await openEnvironment({ ...options, path });
  const to = await openEnvironment({ ...options, path: copy });
  const { signal } = new AbortController();
  await copyRecords(from, to, { signal, onRecords: () => {} });
  await from.close();
  await to.close();
  expect(await checkStore(copy)).toMatchObject({ faults: [] });
  expect((await checkStore(copy)).entries).toEqual((await checkStore(path)).entries);
  {
    await using domain = await openTestDomain({ store: await LmdbStore.open({ path: copy }) });
    expect((await verify(domain.store)).findings).toEqual([]);
    expect(await idsOf(domain, "trip")).toEqual(["search"]);
    expect(await remove(domain, "trip")).toMatchObject({ childCount: 2 });
    expect(await idsOf(domain)).toEqual(["fork"]);
  }
});

test("a session whose child is damaged on disk stays, and the call says which child it is", async () => {
  const path = newFolder();
  {
    await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
    await family(domain);
  }
  const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
  const key = sessionKey({ namespace: "default", sessionId: "page" });
  await environment.write([{ table: "sessions", key, value: Buffer.from("nonsense") }]);
  await environment.close();
  const store = await LmdbStore.open({ path, onDamage: () => {} });
  await using domain = await openTestDomain({ store });
  const deletion = remove(domain, "trip");
  await expect(deletion).rejects.toBeInstanceOf(DataLossError);
  await expect(deletion).rejects.toThrow('session "page", a child of "search", is damaged');
  expect(await idsOf(domain)).toEqual(["fork", "search", "trip"]);
  // What has no part in it can go.
  expect(await remove(domain, "fork")).toMatchObject({ deleted: true });
});

test("an imported child names its parent and is nobody's child, also beside that parent", async () => {
  await using domain = await openTestDomain();
  await family(domain);
  const bundle = await exported(domain, "search");
  const header = toJson(ExportSessionResponseSchema, bundle[0] ?? fail());
  expect(header).toMatchObject({
    header: { session: { parent: { sessionId: "trip", kind: "SESSION_PARENT_KIND_CHILD" } } },
  });
  expect(JSON.stringify(header)).not.toContain("uid");
  const { session } = await imported(domain, bundle, { sessionId: "copy" });
  const kind = SessionParentKind.CHILD;
  expect(session?.parent).toMatchObject({ sessionId: "trip", kind, uid: "", depth: 0 });
  expect(await idsOf(domain, "trip")).toEqual(["search"]);
  await imported(domain, await exported(domain, "copy"), { sessionId: "search", namespace: "b" });
  expect(await exported(domain, "search", "b")).toEqual(bundle);
  // It has children like any other session, from the first level on.
  expect((await child(domain, "of-copy", "copy")).parent).toMatchObject({ depth: 1 });
  expect(await remove(domain, "trip")).toMatchObject({ childCount: 2 });
  expect(await idsOf(domain)).toEqual(["copy", "fork", "of-copy"]);
  expect((await verify(domain.store)).findings).toEqual([]);
  expect(await remove(domain, "copy")).toMatchObject({ childCount: 1 });
});

test("a fork that travels keeps the name of its parent and nothing else of it", async () => {
  await using domain = await openTestDomain();
  await family(domain);
  const { uid } = await domain.get("search");
  expect((await domain.get("fork")).parent).toMatchObject({ sessionId: "search", uid });
  const bundle = await exported(domain, "fork");
  await imported(domain, bundle, { namespace: "b" });
  expect(await exported(domain, "fork", "b")).toEqual(bundle);
  expect(
    JSON.stringify(bundle.map((part) => toJson(ExportSessionResponseSchema, part))),
  ).not.toContain(uid);
});

function fail(): never {
  throw new Error("the export is empty");
}
