import { copyFileSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Contributions } from "../../../src/domain/metrics/contributions.ts";
import { countStored } from "../../../src/domain/metrics/count-stored.ts";
import { verifyStore } from "../../../src/domain/upkeep/verify/verify.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { SCHEMA_VERSION } from "../../../src/store/schema.ts";
import { contentOf } from "../../fixtures/golden/content.ts";
import { openTestDomain, userText } from "../../support/domain.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();
const root = join(import.meta.dirname, "../../fixtures/golden");
const versions = readdirSync(root).filter((name) => name.startsWith("schema-"));

/** A copy of the folder of a release, which the test may write to. */
function copyOf(version: string): string {
  const path = newFolder();
  copyFileSync(join(root, version, "data.mdb"), join(path, "data.mdb"));
  return path;
}

describe.each(versions)("a data folder of %s", (version) => {
  it("opens, verifies clean and says what it said then", async () => {
    await using store = await LmdbStore.open({ path: copyOf(version) });
    const counted = await countStored(store, new Contributions());
    expect(counted === undefined).toBe(version === `schema-${SCHEMA_VERSION}`);
    expect(store.uncounted()).toBeUndefined();
    expect(store.capabilities.schemaVersion).toBe(SCHEMA_VERSION);
    expect(store.capabilities.storeId).toEqual(new Uint8Array(16).fill(7));
    const findings = [];
    for await (const { case: kind, value } of verifyStore(store, new AbortController().signal)) {
      if (kind === "finding") findings.push(value);
    }
    expect(findings).toEqual([]);
    const said: unknown = JSON.parse(readFileSync(join(root, version, "content.json"), "utf8"));
    expect(await contentOf(store)).toEqual(said);
  });

  it("takes further events, and is read again", async () => {
    const path = copyOf(version);
    {
      const store = await LmdbStore.open({ path });
      await countStored(store, new Contributions());
      await using domain = await openTestDomain({ store });
      domain.now = Date.UTC(2030, 0, 2);
      const { headRevision } = await domain.append({
        sessionId: "travel",
        events: [userText("And back?")],
      });
      expect((await domain.log("travel")).at(-1)?.revision).toBe(headRevision);
      expect((await domain.window({ sessionId: "s" })).items.length).toBeGreaterThan(0);
    }
    await using store = await LmdbStore.open({ path });
    const session = await store.getSession({ namespace: "default", sessionId: "travel" });
    expect(session?.session.title).toBe("Ten days in Japan");
  });

  it("is small enough to be kept with the code", () => {
    expect(statSync(join(root, version, "data.mdb")).size).toBeLessThan(200_000);
  });
});

it("there is a golden folder of the schema of today", () => {
  expect(versions).toContain(`schema-${SCHEMA_VERSION}`);
});
