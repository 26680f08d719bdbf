import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { CommitUnknownError, StartError, WritesRefusedError } from "../../../src/errors.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import type { Change } from "../../../src/store/store.ts";
import {
  addition,
  afterOf,
  allEvents,
  creation,
  deletion,
  maintainAll,
  rejection,
  textEvents,
} from "../support.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();
const mounts: string[] = [];

/** A file system of 8 MB of its own; undefined where this user may not mount one. */
function smallDisk(): string | undefined {
  const folder = newFolder();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], { stdio: "pipe" });
  } catch (error) {
    // Where the tests are to be complete, a missing right is a failure.
    const { CI } = process.env;
    if (CI !== undefined) throw error;
    return undefined;
  }
  mounts.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of mounts.splice(0)) execFileSync("umount", ["--lazy", folder]);
});

/** Appends random text until a commit is refused; gives what was committed last. */
async function fill(
  store: LmdbStore,
  created: Change,
  textBytes = 1_400,
): Promise<{ last: Change; error: unknown }> {
  let last = created;
  for (let i = 0; i < 10_000; i++) {
    const revision = afterOf(last).head.revision + 1;
    const next = addition(
      last,
      textEvents(revision, 5, randomBytes(textBytes / 2).toString("hex")),
    );
    try {
      await store.commit(next);
      last = next;
    } catch (error) {
      return { last, error };
    }
  }
  throw new Error("the disk never became full");
}

describe("a full disk", () => {
  it("refuses writes, reads and deletes on, and takes writes again after a delete", async (t) => {
    const path = smallDisk();
    if (path === undefined) return t.skip("mounting a small disk is not allowed here");
    const store = await LmdbStore.open({ path });
    const small = creation({ sessionId: "small" }, 3);
    const large = creation({ sessionId: "large" });
    await store.commit(small);
    await store.commit(large);

    const { last, error } = await fill(store, large);
    expect(error).toBeInstanceOf(WritesRefusedError);
    expect(error).toMatchObject({
      details: {
        free_bytes: expect.stringMatching(/^\d+$/),
        needed_bytes: expect.stringMatching(/^\d+$/),
      },
    });
    expect(store.writesRefused()).toContain("nearly full");
    expect(await allEvents(store, small.key.uid)).toEqual(small.events);
    expect(await store.getSession(large.key)).toEqual(last.after);

    await store.commit(deletion(last));
    await maintainAll(store, 0, 200);
    expect(await allEvents(store, large.key.uid)).toEqual([]);
    const again = creation({ sessionId: "again" });
    await store.commit(again);
    const refilled = await fill(store, again);
    expect(afterOf(refilled.last).head.revision).toBeGreaterThan(500);
    expect(refilled.error).toBeInstanceOf(WritesRefusedError);
    await store.close();
  });

  it("never fails a commit that was taken, with many under way and of any size", async (t) => {
    const path = smallDisk();
    if (path === undefined) return t.skip("mounting a small disk is not allowed here");
    const store = await LmdbStore.open({ path });
    for (let round = 0; round < 3; round++) {
      const filled = await Promise.all(
        Array.from({ length: 24 }, async (_, i) => {
          const created = creation({ sessionId: `${round} ${i}` });
          await store.commit(created).catch((error: unknown) => {
            expect(error).toBeInstanceOf(WritesRefusedError);
          });
          if ((await store.getSession(created.key)) === undefined) return undefined;
          const result = await fill(store, created, 20 * 4 ** (i % 6));
          expect(result.error).toBeInstanceOf(WritesRefusedError);
          return result.last;
        }),
      );
      for (const last of filled) if (last !== undefined) await store.commit(deletion(last));
      await maintainAll(store, 0, 500);
    }
    expect(store.writesRefused()).toBeUndefined();
    await store.close();
  });

  it("refuses writes and serves the rest after a start on it", async (t) => {
    const path = smallDisk();
    if (path === undefined) return t.skip("mounting a small disk is not allowed here");
    const created = creation({}, 4);
    let store = await LmdbStore.open({ path });
    await store.commit(created);
    await store.close();

    // Somebody else takes the rest of the disk, to the last byte.
    fillDisk(path);
    store = await LmdbStore.open({ path });
    expect(store.writesRefused()).toContain("nearly full");
    expect(await rejection(store.commit(addition(created)))).toBeInstanceOf(WritesRefusedError);
    expect(await allEvents(store, created.key.uid)).toEqual(created.events);
    await store.close();
  });

  it.for(["new", "existing"])(
    "to the last byte is told apart from a crash: %s store",
    async (kind, t) => {
      const path = smallDisk();
      if (path === undefined) return t.skip("mounting a small disk is not allowed here");
      if (kind === "existing") {
        const store = await LmdbStore.open({ path });
        await store.commit(creation());
        await store.close();
        rmSync(join(path, "lock.mdb"));
      }
      fillDisk(path);
      const error = await rejection(LmdbStore.open({ path }));
      expect(error).toBeInstanceOf(StartError);
      expect(error).toMatchObject({ message: expect.stringContaining("no space") });
    },
  );

  it("that is read-only serves reads and refuses writes and deletes", async (t) => {
    const path = smallDisk();
    if (path === undefined) return t.skip("mounting a small disk is not allowed here");
    const created = creation({}, 4);
    let store = await LmdbStore.open({ path });
    await store.commit(created);
    await store.close();

    execFileSync("mount", ["-o", "remount,ro", path]);
    store = await LmdbStore.open({ path });
    expect(store.writesRefused()).toContain("read-only");
    for (const change of [addition(created), deletion(created)]) {
      expect(await rejection(store.commit(change))).toBeInstanceOf(WritesRefusedError);
    }
    expect(await store.maintain({ nowMs: 0, limit: 10 })).toBe(false);
    expect(await allEvents(store, created.key.uid)).toEqual(created.events);
    await store.close();
  });

  it("that the guard did not see fails the commit with unknown outcome, and later ones", async (t) => {
    const path = smallDisk();
    if (path === undefined) return t.skip("mounting a small disk is not allowed here");
    const plenty = { freeBytes: 2 ** 40, totalBytes: 2 ** 40 };
    const store = await LmdbStore.open({ path, diskSpace: () => plenty });
    const failures: Error[] = [];
    store.onFailure((error) => failures.push(error));
    const created = creation();
    await store.commit(created);
    const { last, error } = await fill(store, created);
    expect(error).toBeInstanceOf(CommitUnknownError);
    expect(await rejection(store.commit(creation({ sessionId: "later" })))).toBe(error);
    expect(failures).toEqual([error]);
    await store.close();

    // What the next start would find, on a disk with room.
    const copy = newFolder();
    cpSync(join(path, "data.mdb"), join(copy, "data.mdb"));
    await using restarted = await LmdbStore.open({ path: copy });
    const acknowledged = afterOf(last).head.revision;
    const stored = await allEvents(restarted, created.key.uid);
    expect(stored.length).toBeGreaterThanOrEqual(acknowledged);
  });
});

function fillDisk(path: string): void {
  for (const bytes of [1024 * 1024, 4_096, 1]) {
    for (let i = 0; i < 10_000; i++) {
      try {
        writeFileSync(join(path, `filler-${bytes}`), Buffer.alloc(bytes), { flag: "a" });
      } catch {
        break;
      }
    }
  }
}
