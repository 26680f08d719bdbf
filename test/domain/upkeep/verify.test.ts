import { describe, expect, it } from "vitest";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { temporaryFolders } from "../../store/lmdb/folders.ts";
import { openTestDomain } from "../../support/domain.ts";
import { liveIn, verify } from "./support.ts";

const newFolder = temporaryFolders();
const engines = {
  LMDB: () => LmdbStore.open({ path: newFolder() }),
  memory: () => MemoryStore.open(),
};

describe.each(Object.entries(engines))("verifying a %s store", (_, open) => {
  it("finds nothing in an empty one", async () => {
    await using store = await open();
    expect(await verify(store)).toMatchObject({
      findings: [],
      summary: { findings: 0, records: 0n, sessions: 0n, events: 0n },
    });
  });

  it("finds nothing in one in which everything has happened, and counts it", async () => {
    await using domain = await openTestDomain({ store: await open() });
    await liveIn(domain);
    const { findings, summary } = await verify(domain.store);
    expect(findings).toEqual([]);
    const { tables } = await domain.store.size();
    const byName = new Map(tables.map(({ name, entries }) => [name, entries]));
    expect(summary).toMatchObject({
      sessions: BigInt(byName.get("sessions") ?? 0),
      namespaces: 2n,
    });
    expect(summary.events).toBeGreaterThan(100n);
  });
});
