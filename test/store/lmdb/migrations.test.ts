import { create } from "@bufbuild/protobuf";
import { StoreHeaderSchema } from "@sessiond/contract/store";
import { describe, expect, it } from "vitest";
import { StartError } from "../../../src/errors.ts";
import {
  DEFAULT_MAP_BYTES,
  type Environment,
  openEnvironment,
} from "../../../src/store/lmdb/environment.ts";
import { MIGRATIONS, type Migration, migrate } from "../../../src/store/lmdb/migrations.ts";
import { SCHEMA_VERSION } from "../../../src/store/schema.ts";
import { rejection } from "../support.ts";
import { temporaryFolders } from "./folders.ts";

const newFolder = temporaryFolders();
const options = { mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: 0 };
const key = Buffer.from("k");

/** Writes a text behind the one that is there, unless it ends with it already. */
const adds =
  (text: string): Migration =>
  async ({ tables, write }) => {
    const before = tables.garbage.getBinary(key)?.toString() ?? "";
    if (!before.endsWith(text)) {
      await write([{ table: "garbage", key, value: Buffer.from(before + text) }]);
    }
  };

/** Made-up versions behind the one of today, which nobody can read yet. */
const [first, second, third] = [SCHEMA_VERSION, SCHEMA_VERSION + 1, SCHEMA_VERSION + 2] as const;

/** Brings a store of today to the made-up version `third`. */
function migrated(
  environment: Environment,
  args: { steps?: Readonly<Record<number, Migration>>; readOnly?: boolean } = {},
) {
  const { steps = { [first]: adds("1"), [second]: adds("2") }, readOnly = false } = args;
  const { header } = environment;
  return migrate({ tools: environment, header, where: "it", readOnly, steps, target: third });
}

function stored(environment: Environment): string | undefined {
  return environment.tables.garbage.getBinary(key)?.toString();
}

/** As `schema.ts` reads it at the next start. */
async function versionIn(path: string): Promise<unknown> {
  const error = await rejection(openEnvironment({ ...options, path }));
  return /schema (\d+)/.exec(String(error))?.[1];
}

describe("a store of an older schema", () => {
  it("goes through every step in order, and says its new version", async () => {
    const path = newFolder();
    const environment = await openEnvironment({ ...options, path });
    const header = await migrated(environment);
    expect(header).toMatchObject({ schemaVersion: third, storeId: environment.header.storeId });
    expect(stored(environment)).toBe("12");
    await environment.close();
    expect(await versionIn(path)).toBe(String(third));
  });

  it("goes on at the step that was interrupted", async () => {
    const path = newFolder();
    const environment = await openEnvironment({ ...options, path });
    const fails: Migration = async (tools) => {
      await adds("2")(tools);
      throw new Error("killed");
    };
    await expect(
      migrated(environment, { steps: { [first]: adds("1"), [second]: fails } }),
    ).rejects.toThrow();
    await environment.close();
    expect(await versionIn(path)).toBe(String(second));
    const again = await openEnvironment({ ...options, path: newFolder() });
    await again.write([{ table: "garbage", key, value: Buffer.from("12") }]);
    const header = create(StoreHeaderSchema, { ...again.header, schemaVersion: second });
    await migrate({
      tools: again,
      header,
      where: "it",
      readOnly: false,
      steps: { [first]: adds("1"), [second]: adds("2") },
      target: third,
    });
    expect(stored(again)).toBe("12");
    await again.close();
  });

  it("is left alone where it cannot be written, or where a step is missing", async () => {
    const environment = await openEnvironment({ ...options, path: newFolder() });
    const readOnly = await rejection(migrated(environment, { readOnly: true }));
    expect(readOnly).toBeInstanceOf(StartError);
    expect(String(readOnly)).toContain(
      `it has schema ${first} and has to be brought to ${third}: make it writable`,
    );
    const missing = await rejection(migrated(environment, { steps: { [second]: adds("2") } }));
    expect(String(missing)).toContain("start the version before this one first");
    expect(stored(environment)).toBeUndefined();
    await environment.close();
  });
});

it("every version before this one has a step", () => {
  const older = Array.from({ length: SCHEMA_VERSION - 1 }, (_, index) => index + 1);
  expect(Object.keys(MIGRATIONS).map(Number)).toEqual(older);
});
