import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { StateRecordSchema } from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import { DataLossError } from "../../../src/errors.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import type { StateScope } from "../../../src/store/store.ts";
import {
  addition,
  allEvents,
  creation,
  deletion,
  maintainAll,
  NAMESPACE,
  rejection,
  textEvent,
} from "../support.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();

/** Flips a bit in every copy of a text in the data file. */
function damage(path: string, text: string): void {
  const file = join(path, "data.mdb");
  const content = readFileSync(file);
  let found = 0;
  for (let at = content.indexOf(text); at >= 0; at = content.indexOf(text, at + 1)) {
    content.writeUInt8(content.readUInt8(at) ^ 1, at);
    found += 1;
  }
  expect(found).toBeGreaterThan(0);
  writeFileSync(file, content);
}

describe("damage on disk", () => {
  it("of one event is reported for its session, and only there", async () => {
    const path = newFolder();
    const good = creation({ sessionId: "good" }, 3);
    const bad = creation({ sessionId: "bad" }, 1);
    let store = await LmdbStore.open({ path });
    await store.commit(good);
    await store.commit(bad);
    const more = addition(bad, [textEvent(2, "an unmistakable text"), textEvent(3)]);
    await store.commit(more);
    await store.close();

    damage(path, "an unmistakable text");
    store = await LmdbStore.open({ path });
    const { uid } = bad.key;
    const error = await rejection(allEvents(store, uid));
    expect(error).toBeInstanceOf(DataLossError);
    expect(error).toMatchObject({ details: { record: "event 2", session_uid: uid } });
    const [third] = await store.readEvents({
      uid,
      first: 3,
      last: 3,
      maxEvents: 1,
      maxBytes: 1,
    });
    expect(third).toEqual(textEvent(3));
    expect(await allEvents(store, good.key.uid)).toEqual(good.events);
    expect(await store.getSession(bad.key)).toEqual(more.after);
    await store.commit(addition(good));
    await store.close();
  });

  it("of one session record is reported for it, and only there", async () => {
    const path = newFolder();
    const good = creation({ sessionId: "good", title: "a good title" });
    const bad = creation({ sessionId: "bad", title: "an unmistakable title" });
    let store = await LmdbStore.open({ path });
    await store.commit(good);
    await store.commit(bad);
    await store.close();

    damage(path, "an unmistakable title");
    store = await LmdbStore.open({ path });
    const error = await rejection(store.getSession(bad.key));
    expect(error).toMatchObject({ reason: "DATA_LOSS", details: { record: 'session "bad"' } });
    expect(await store.getSession(good.key)).toEqual(good.after);
    await store.close();

    const damaged: string[] = [];
    store = await LmdbStore.open({ path, onDamage: ({ message }) => damaged.push(message) });
    const query = { namespace: "default", index: { by: "all" }, limit: 1 } as const;
    const leftOut: string[] = [];
    const onLeftOut = (sessionId: string) => leftOut.push(sessionId);
    const listed = await store.listSessions({ ...query, onLeftOut });
    expect(leftOut).toEqual(["bad"]);
    expect(listed).toEqual([good.after]);
    expect(damaged).toEqual([expect.stringContaining('session "bad"')]);
    await store.close();
  });

  it("of one state is reported for its scope, which can still be removed", async () => {
    const path = newFolder();
    const user: StateScope = { of: "user", namespace: "default", userId: "u" };
    const app: StateScope = { of: "app", namespace: "default" };
    const record = (text: string) => create(StateRecordSchema, { values: { text }, version: "v" });
    const created = creation();
    let store = await LmdbStore.open({ path });
    const states = [
      { scope: user, record: record("an unmistakable value") },
      { scope: app, record: record("a good value") },
      { scope: { of: "session", ...created.key } as const, record: record("another unmistakable") },
    ];
    await store.commit({ ...created, states });
    await store.close();

    damage(path, "an unmistakable value");
    damage(path, "another unmistakable");
    store = await LmdbStore.open({ path });
    expect(await rejection(store.getState(user))).toMatchObject({
      reason: "DATA_LOSS",
      details: { record: 'state of user "u"' },
    });
    const { uid } = created.key;
    const own: StateScope = { of: "session", namespace: "default", uid };
    expect(await rejection(store.getState(own))).toMatchObject({
      reason: "DATA_LOSS",
      details: { record: "state", session_uid: uid },
    });
    expect(await store.getState(app)).toEqual(record("a good value"));
    expect(await store.getSession(created.key)).toEqual(created.after);
    await store.commit({ ...addition(created), states: [{ scope: user }] });
    expect(await store.getState(user)).toBeUndefined();
    await store.close();
  });

  it("of an entry in the log of a namespace is left for who reads it", async () => {
    const path = newFolder();
    const bad = creation({ sessionId: "an unmistakable name" });
    const other = creation({ sessionId: "other" });
    let store = await LmdbStore.open({ path });
    for (const change of [other, bad, deletion(bad), deletion(other)]) await store.commit(change);
    await store.commit(creation({ sessionId: "kept" }));
    await store.close();

    damage(path, "an unmistakable name");
    store = await LmdbStore.open({ path });
    await maintainAll(store, 0);
    const read = (afterOffset: number, limit: number) =>
      store.readNamespaceLog({ namespace: NAMESPACE, afterOffset, limit });
    for (const offset of [2, 3]) {
      const error = await rejection(read(offset - 1, 1));
      expect(error).toMatchObject({
        details: { record: `log entry ${offset} of namespace "${NAMESPACE}"` },
      });
    }
    expect((await read(3, 9)).map(({ offset }) => offset)).toEqual([4, 5]);
    expect(await rejection(read(0, 1))).toBeInstanceOf(DataLossError);
    await store.close();
  });
});
