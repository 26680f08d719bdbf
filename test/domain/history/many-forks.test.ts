import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  EventOrder,
  ListEventsRequestSchema,
} from "@sessiond/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { verifyStore } from "../../../src/domain/upkeep/verify/verify.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { checkStore } from "../../support/store-check.ts";
import { fork } from "./support.ts";

/** All of them with `SESSIOND_FULL=1` in front of the command; the same with fewer otherwise. */
const { SESSIOND_FULL } = process.env;
const forks = SESSIOND_FULL === "1" ? 10_000 : 500;
const events = 10_000;
const batch = 500;
const atOnce = 50;

let path: string;
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), "sessiond-forks-"));
});
afterEach(() => rm(path, { recursive: true }));

const revisionOf = (index: number) => 2 + ((index * 7_919) % (events - 1));
const textOf = (revision: number) => `event ${revision}`;

/** Does something with many, some at once. */
async function each(indices: readonly number[], work: (index: number) => Promise<void>) {
  for (let from = 0; from < indices.length; from += atOnce) {
    await Promise.all(indices.slice(from, from + atOnce).map(work));
  }
}

/** A fork has its end, what it shares before it, and the beginning. */
async function expectReadable(domain: TestDomain, index: number): Promise<void> {
  const revision = revisionOf(index);
  const list = async (order: EventOrder) => {
    const query = { sessionId: `fork ${index}`, order, pageSize: 2 };
    const page = await domain.events.list(create(ListEventsRequestSchema, query));
    return page.events.map(({ payload }) =>
      payload.case === "message" ? payload.value.text : payload.case,
    );
  };
  expect(await list(EventOrder.NEWEST_FIRST)).toEqual(["forked", textOf(revision)]);
  expect(await list(EventOrder.OLDEST_FIRST)).toEqual(["sessionStarted", textOf(2)]);
}

async function remove(domain: TestDomain, sessionId: string): Promise<void> {
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
}

async function free(domain: TestDomain): Promise<void> {
  while (await domain.store.maintain({ nowMs: domain.now, limit: 2_000 }));
}

async function expectSound(store: Store): Promise<void> {
  for await (const { case: kind, value } of verifyStore(store, new AbortController().signal)) {
    if (kind === "finding") expect(value).toBeUndefined();
  }
}

test(`${forks} forks of ${events} events outlive their parent, and free what nobody needs`, {
  timeout: 600_000,
}, async () => {
  const all = Array.from({ length: forks }, (_, index) => index);
  const [last = 0, ...others] = all.toReversed();
  const some = others.filter((index) => index % 3 > 0);
  const rest = others.filter((index) => index % 3 === 0);
  const open = async () => openTestDomain({ store: await LmdbStore.open({ path }) });
  {
    await using domain = await open();
    const contextPolicy = { compaction: { manual: true } };
    await domain.create({ session: { sessionId: "parent", contextPolicy } });
    for (let revision = 2; revision <= events; revision += batch) {
      const size = Math.min(batch, events + 1 - revision);
      const texts = Array.from({ length: size }, (_, index) => userText(textOf(revision + index)));
      await domain.append({ sessionId: "parent", events: texts });
    }
    await each(all, async (index) => {
      const newSessionId = `fork ${index}`;
      await fork(domain, { sessionId: "parent", revision: revisionOf(index), newSessionId });
    });
    await remove(domain, "parent");
    await free(domain);
    await each(all, (index) => expectReadable(domain, index));
  }
  {
    await using domain = await open();
    await each(some, (index) => remove(domain, `fork ${index}`));
    await free(domain);
    await each([...rest, last], (index) => expectReadable(domain, index));
    await each(rest, (index) => remove(domain, `fork ${index}`));
    await free(domain);
    await expectReadable(domain, last);
    await expectSound(domain.store);
  }
  /** What there is when a store that was just opened, and so looks through everything, has done so. */
  const found = async () => {
    {
      await using domain = await open();
      await free(domain);
    }
    return checkStore(path);
  };
  // What the last of them shares is all that is left, and its own first event.
  const { entries, faults } = await found();
  expect(faults).toEqual([]);
  expect(entries.events).toBe(revisionOf(last) + 1);
  {
    await using domain = await open();
    await remove(domain, `fork ${last}`);
    await free(domain);
  }
  expect(await found()).toMatchObject({
    faults: [],
    entries: { sessions: 0, heads: 0, events: 0, checkpoints: 0, references: 0 },
  });
});
