import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  CreateSessionRequestSchema,
  DeleteSessionRequestSchema,
  IfExists,
  ListConsumersRequestSchema,
  WatchStart,
} from "@sessiond/contract";
import { ConsumerRecordSchema } from "@sessiond/contract/store";
import { describe, expect, test } from "vitest";

import {
  ConsumerExistsError,
  ConsumerNotFoundError,
  CursorInvalidError,
  DataLossError,
  InvalidFieldError,
  PageTokenInvalidError,
  RequestIdReusedError,
  SessionDeletedError,
  SessionNotFoundError,
  TooManyConsumersError,
} from "../../../src/errors.ts";
import { consumerKey } from "../../../src/store/keys.ts";
import { DEFAULT_MAP_BYTES, openEnvironment } from "../../../src/store/lmdb/environment.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { withoutSession } from "../../store/support.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { cancel } from "../lifecycle/support.ts";
import {
  appendTexts,
  commit,
  createConsumer,
  deleteConsumer,
  getConsumer,
  next,
  nextEvents,
  reading,
} from "./consumer-support.ts";

async function deleteSession(domain: TestDomain, sessionId: string): Promise<void> {
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
}

describe("a consumer", () => {
  test("is given again what was not committed, and nothing that was", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a", "b", "c"]);
    await createConsumer(domain, { name: "audit" });
    const first = await reading(domain, "audit");
    const { seen, cursor } = await nextEvents(first.watch);
    expect(seen).toEqual(["demo:1", "demo:2", "demo:3", "demo:4"]);
    await first.watch.return(undefined);

    const second = await reading(domain, "audit");
    expect((await nextEvents(second.watch)).seen).toEqual(seen);
    await commit(domain, { name: "audit", cursor, lease: second.lease });
    await second.watch.return(undefined);

    await appendTexts(domain, ["d"]);
    const third = await reading(domain, "audit");
    expect(third.cursor).toBe(cursor);
    expect((await nextEvents(third.watch)).seen).toEqual(["demo:5"]);
    await third.watch.return(undefined);
  });

  test("of one session is shown that session alone, under its name of today", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a"]);
    await appendTexts(domain, ["x"], "other");
    const consumer = await createConsumer(domain, { name: "audit", sessionId: "demo" });
    expect(consumer).toMatchObject({ sessionId: "demo", lag: 2 });
    await cancel(domain, { sessionId: "demo", reason: "enough" });
    const renewal = { session: { sessionId: "demo" }, ifExists: IfExists.RENEW };
    await domain.sessions.create(create(CreateSessionRequestSchema, renewal));
    const { watch, lease } = await reading(domain, "audit");
    const { seen, cursor } = await nextEvents(watch);
    expect(seen).toEqual(["demo~1:1", "demo~1:2", "demo~1:3"]);
    expect(await commit(domain, { name: "audit", cursor, lease })).toMatchObject({ lag: 0 });
    await deleteSession(domain, "demo~1");
    await expect(next(watch)).rejects.toThrow(SessionDeletedError);
    await expect(domain.watch({ consumer: "audit" }).next()).rejects.toThrow(SessionDeletedError);
    expect(await getConsumer(domain, "audit")).toMatchObject({ lag: 0, cursor });
  });

  test("begins where it is told to", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a", "b"]);
    const now = await createConsumer(domain, { name: "now" }, { start: WatchStart.NOW });
    expect(now.lag).toBe(0);
    const later = await createConsumer(
      domain,
      { name: "later", sessionId: "demo" },
      { start: WatchStart.NOW },
    );
    expect(later.lag).toBe(0);
    const watch = domain.watch({});
    await next(watch);
    const { cursor } = await nextEvents(watch);
    await watch.return(undefined);
    await appendTexts(domain, ["c"]);
    const there = await createConsumer(domain, { name: "there", cursor });
    expect(there).toMatchObject({ cursor, lag: 1 });
    await expect(
      createConsumer(domain, { name: "both", cursor }, { start: WatchStart.NOW }),
    ).rejects.toThrow(InvalidFieldError);
    await expect(
      createConsumer(domain, { name: "foreign", sessionId: "demo", cursor }),
    ).rejects.toThrow(CursorInvalidError);
    await expect(createConsumer(domain, { name: "none", sessionId: "nobody" })).rejects.toThrow(
      SessionNotFoundError,
    );
  });

  test("is listed by name with its lag and its reader, also what is not written yet", async () => {
    await using domain = await openTestDomain();
    await appendTexts(domain, ["a", "b"]);
    for (const name of ["b", "a", "c"]) await createConsumer(domain, { name });
    const { watch, lease } = await reading(domain, "b", { reader: "worker-1" });
    const { cursor } = await nextEvents(watch);
    await commit(domain, { name: "b", cursor, lease });
    const list = async (pageSize: number, pageToken = "") =>
      domain.consumers.list(create(ListConsumersRequestSchema, { pageSize, pageToken }));
    const page = await list(2);
    expect(page.consumers.map(({ name, lag }) => [name, lag])).toEqual([
      ["a", 2],
      ["b", 0],
    ]);
    expect(page.consumers[1]?.reader?.name).toBe("worker-1");
    const rest = await list(2, page.nextPageToken);
    expect(rest.consumers.map(({ name }) => name)).toEqual(["c"]);
    expect(rest.nextPageToken).toBe("");
    await expect(list(2, "nonsense")).rejects.toThrow(PageTokenInvalidError);
    await watch.return(undefined);
    expect((await getConsumer(domain, "b")).reader).toBeUndefined();
  });

  test("is created and deleted once by repeated calls", async () => {
    await using domain = await openTestDomain();
    const requestId = "r1";
    const first = await createConsumer(domain, { name: "audit" }, { requestId });
    expect(await createConsumer(domain, { name: "audit" }, { requestId })).toEqual(first);
    await expect(
      createConsumer(domain, { name: "audit", filter: "event.step > 1" }, { requestId }),
    ).rejects.toThrow(RequestIdReusedError);
    await expect(createConsumer(domain, { name: "audit" })).rejects.toThrow(ConsumerExistsError);
    await deleteConsumer(domain, "audit", { requestId: "r2" });
    await createConsumer(domain, { name: "audit" });
    await deleteConsumer(domain, "audit", { requestId: "r2" });
    await getConsumer(domain, "audit");
    await deleteConsumer(domain, "audit");
    await expect(deleteConsumer(domain, "audit")).rejects.toThrow(ConsumerNotFoundError);
    await deleteConsumer(domain, "audit", { allowMissing: true });
    await expect(getConsumer(domain, "audit")).rejects.toThrow(ConsumerNotFoundError);
    await expect(domain.watch({ consumer: "audit" }).next()).rejects.toThrow(ConsumerNotFoundError);
  });

  test("that is created many times at once is there once", async () => {
    await using domain = await openTestDomain();
    const attempts = await Promise.allSettled(
      Array.from({ length: 8 }, () => createConsumer(domain, { name: "audit" })),
    );
    expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("of which there are too many is refused", async () => {
    await using domain = await openTestDomain();
    const consumers = Array.from({ length: 1_000 }, (_, number) => ({
      namespace: "default",
      name: `c${number}`,
      record: create(ConsumerRecordSchema, { uid: new Uint8Array(16) }),
    }));
    await domain.store.commit({ ...withoutSession, consumers });
    await expect(createConsumer(domain, { name: "more" })).rejects.toThrow(TooManyConsumersError);
    await createConsumer(domain, { name: "more", namespace: "other" });
  });

  test.each(["", "-x", ".", "a b", "a/b", "ä", "a\0", "x".repeat(64), "sink.file"])(
    "is not called %j",
    async (name) => {
      await using domain = await openTestDomain({ isOfSink: () => name === "sink.file" });
      await expect(createConsumer(domain, { name })).rejects.toThrow(InvalidFieldError);
      await expect(deleteConsumer(domain, name)).rejects.toThrow(InvalidFieldError);
      await expect(commit(domain, { name, cursor: "x" })).rejects.toThrow(InvalidFieldError);
      if (name === "") return;
      await expect(domain.watch({ consumer: name }).next()).rejects.toThrow(InvalidFieldError);
    },
  );

  test("has a filter that compiles, or none", async () => {
    await using domain = await openTestDomain();
    for (const filter of [
      "event.",
      "session.state",
      "event.nothing == 1",
      "1",
      "x".repeat(2_049),
    ]) {
      const created = createConsumer(domain, { name: "audit", filter });
      await expect(created, filter).rejects.toThrow(InvalidFieldError);
    }
    await expect(createConsumer(domain, { name: "a", filter: "event." })).rejects.toThrow(
      /^consumer\.filter: does not compile at 1:6/,
    );
  });

  test("whose record is damaged says so, is left out of lists, and can be deleted", async () => {
    const path = await mkdtemp(join(tmpdir(), "sessiond-consumers-"));
    const names = ["audit", "billing"];
    {
      await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
      for (const name of names) await createConsumer(domain, { name });
    }
    const environment = await openEnvironment({ path, mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 });
    const key = consumerKey({ namespace: "default", name: "audit" });
    await environment.write([{ table: "consumers", key, value: Buffer.from("nonsense") }]);
    await environment.close();
    {
      await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
      await expect(getConsumer(domain, "audit")).rejects.toThrow(DataLossError);
      await expect(domain.watch({ consumer: "audit" }).next()).rejects.toThrow(DataLossError);
      const list = await domain.consumers.list(create(ListConsumersRequestSchema));
      expect(list.consumers.map(({ name }) => name)).toEqual(["billing"]);
      await deleteConsumer(domain, "audit");
      await createConsumer(domain, { name: "audit" });
      expect(domain.consumers.stats().inMemory).toBe(0);
    }
    await rm(path, { recursive: true });
  });

  test("has what a watch would otherwise say itself", async () => {
    await using domain = await openTestDomain();
    await createConsumer(domain, { name: "audit" });
    for (const request of [
      { consumer: "audit", sessionId: "demo" },
      { consumer: "audit", start: WatchStart.NOW },
      { consumer: "audit", cursor: "x" },
      { consumer: "audit", filter: "true" },
      { consumer: "audit", untilEnded: true },
      { takeOver: true },
      { reader: "me" },
    ]) {
      await expect(domain.watch(request).next()).rejects.toThrow(InvalidFieldError);
    }
    expect((await getConsumer(domain, "audit")).reader).toBeUndefined();
    expect(domain.watches.stats("namespace").open).toBe(0);
  });
});
