import { toBinary } from "@bufbuild/protobuf";
import { type StoreHeader, StoreHeaderSchema } from "@sessiond/contract/store";
import { StartError } from "../../errors.ts";
import { encodeRecord } from "../records.ts";
import { SCHEMA_VERSION } from "../schema.ts";
import { HEADER_KEY, type Tables, UNCOUNTED_KEY, type Write } from "./tables.ts";

/** What a migration works on. */
export interface MigrationTools {
  readonly tables: Tables;
  /** Applies the writes together; resolves when they are on disk. */
  write(writes: readonly Write[]): Promise<void>;
}

/**
 * Brings the records of one version of the layout into the form of the next.
 *
 * May be ended by a kill at any place and begins anew then: what it has written must not hurt, and it
 * writes in pieces that fit into memory. The new version is noted when it is done.
 */
export type Migration = (tools: MigrationTools) => Promise<void>;

/** Steps by the version they begin at. */
export const MIGRATIONS: Readonly<Record<number, Migration>> = {
  // Rollups: what events count for is for the domain to say, see `Store.uncounted`.
  1: ({ write }) => {
    const value = encodeRecord(UNCOUNTED_KEY, new Uint8Array());
    return write([{ table: "meta", key: UNCOUNTED_KEY, value }]);
  },
};

/**
 * Brings a store that an older version wrote to the layout of this one, and gives its header then.
 *
 * Errors: StartError when it cannot be written, or a step is missing.
 */
export async function migrate(args: {
  readonly tools: MigrationTools;
  readonly header: StoreHeader;
  readonly where: string;
  readonly readOnly: boolean;
  /** Default: those of this program. */
  readonly steps?: Readonly<Record<number, Migration>>;
  /** Default: the version of this program. */
  readonly target?: number;
}): Promise<StoreHeader> {
  const { tools, where, readOnly, steps = MIGRATIONS, target = SCHEMA_VERSION } = args;
  let { header } = args;
  while (header.schemaVersion < target) {
    const version = header.schemaVersion;
    const step = steps[version];
    if (readOnly || step === undefined) {
      const why = readOnly ? "make it writable" : "start the version before this one first";
      throw new StartError(
        `${where} has schema ${version} and has to be brought to ${target}: ${why}`,
      );
    }
    await step(tools);
    header = { ...header, schemaVersion: version + 1 };
    await tools.write([headerWrite(header)]);
  }
  return header;
}

export function headerWrite(header: StoreHeader): Write {
  const value = encodeRecord(HEADER_KEY, toBinary(StoreHeaderSchema, header));
  return { table: "meta", key: HEADER_KEY, value };
}
