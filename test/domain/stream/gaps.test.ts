import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema, WatchGapReason } from "@sessiond/contract";

import { describe, expect, test } from "vitest";

import { renewIdentity } from "../../../src/store/lmdb/copy.ts";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../../src/store/lmdb/environment.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { withoutSession } from "../../store/support.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";

import {
  appendTexts,
  commit,
  createConsumer,
  next,
  nextEvents,
  reading,
} from "./consumer-support.ts";

const dayMs = 24 * 60 * 60 * 1_000;

async function deleteSession(domain: TestDomain, sessionId: string): Promise<void> {
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
}

/** Has housekeeping remove what it may remove eight days later. */
async function forgetDeletions(domain: TestDomain): Promise<void> {
  domain.now += 8 * dayMs;
  await appendTexts(domain, ["newest"], "other");
  while (await domain.store.maintain({ nowMs: domain.now, limit: 500 }));
}

describe("a gap", () => {
  test("is told where deletions are told no more, once it is committed never again", async () => {
    await using domain = await openTestDomain();
    await createConsumer(domain, { name: "audit" });
    await appendTexts(domain, ["a", "b"], "gone");
    await deleteSession(domain, "gone");
    await forgetDeletions(domain);
    const late = await reading(domain, "audit");
    const gap = await next(late.watch);
    expect(gap.message).toMatchObject({
      case: "gap",
      value: { reason: WatchGapReason.DELETIONS_GONE, commits: 3 },
    });
    expect((await nextEvents(late.watch)).seen).toEqual(["other:1", "other:2"]);
    await late.watch.return(undefined);
    const again = await reading(domain, "audit");
    expect((await next(again.watch)).message.case).toBe("gap");
    await commit(domain, { name: "audit", cursor: gap.cursor, lease: again.lease });
    await again.watch.return(undefined);
    const last = await reading(domain, "audit");
    expect((await nextEvents(last.watch)).seen).toEqual(["other:1", "other:2"]);
    await last.watch.return(undefined);
  });

  test("is told in the middle of a watch that is slower than retention", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const { watch } = await reading(domain, "audit");
    await nextEvents(watch);
    await appendTexts(domain, ["a"], "gone");
    await deleteSession(domain, "gone");
    await forgetDeletions(domain);
    expect((await next(watch)).message.case).toBe("gap");
    expect((await nextEvents(watch)).seen).toEqual(["other:1", "other:2"]);
    await watch.return(undefined);
  });

  test("is none for a consumer that began when the deletions were gone", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"], "gone");
    await deleteSession(domain, "gone");
    await forgetDeletions(domain);
    await createConsumer(domain, { name: "audit" });
    const { watch } = await reading(domain, "audit");
    const { message } = await next(watch);
    expect(message.case).toBe("events");
    await watch.return(undefined);
  });

  test("is told in a store that was restored, until a cursor is committed there", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await createConsumer(domain, { name: "audit" });
    const name = { namespace: "default", name: "audit" };
    const record = await domain.store.getConsumer(name);
    if (record === undefined) throw new Error("no record");
    const restored = { ...record, storeId: new Uint8Array(16) };
    await domain.store.commit({ ...withoutSession, consumers: [{ ...name, record: restored }] });
    const { watch, lease, cursor } = await reading(domain, "audit");
    const gap = await next(watch);
    expect(gap.message).toMatchObject({
      case: "gap",
      value: { reason: WatchGapReason.STORE_RESTORED },
    });
    expect(gap.cursor).toBe(cursor);
    await commit(domain, { name: "audit", cursor, lease });
    await watch.return(undefined);
    const again = await reading(domain, "audit");
    expect((await next(again.watch)).message.case).toBe("events");
    await again.watch.return(undefined);
  });

  test("shows what a deleted session had, when it was deleted before it was read", async () => {
    await using domain = await openTestDomain();
    await createConsumer(domain, { name: "audit", filter: "false" });
    await appendTexts(domain, ["a", "b"], "gone");
    await deleteSession(domain, "gone");
    const { watch } = await reading(domain, "audit");
    expect((await next(watch)).message).toMatchObject({
      case: "sessionDeleted",
      value: { sessionId: "gone", firstRevision: 1, lastRevision: 3 },
    });
    await watch.return(undefined);
  });

  test("is told after the data was restored from a backup, and nothing is left out", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sessiond-gaps-"));
    const path = join(folder, "data");
    {
      await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
      await createConsumer(domain, { name: "audit" });
      await appendTexts(domain, ["a"]);
      const { watch, lease } = await reading(domain, "audit");
      const { cursor } = await nextEvents(watch);
      await commit(domain, { name: "audit", cursor, lease });
      await watch.return(undefined);
    }
    const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
    await renewIdentity(environment);
    await environment.close();
    {
      await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
      await appendTexts(domain, ["b"]);
      const { watch } = await reading(domain, "audit");
      expect((await next(watch)).message).toMatchObject({
        case: "gap",
        value: { reason: WatchGapReason.STORE_RESTORED },
      });
      expect((await nextEvents(watch)).seen).toEqual(["demo:3"]);
      await watch.return(undefined);
    }
    await rm(folder, { recursive: true });
  });
});
