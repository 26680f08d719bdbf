import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type StoreHeader, StoreHeaderSchema } from "@sessiond/contract/store";
import { StartError } from "../errors.ts";

/** Version of the layout of keys and records this program writes and reads. */
export const SCHEMA_VERSION = 2;

/** Header of a new store. `storeId` defaults to random bytes, so cursors of two stores differ. */
export function newStoreHeader(args: { nowMs: number; storeId?: Uint8Array }): StoreHeader {
  return create(StoreHeaderSchema, {
    schemaVersion: SCHEMA_VERSION,
    storeId: args.storeId ?? new Uint8Array(randomBytes(16)),
    createTime: timestampFromMs(args.nowMs),
  });
}

/** Throws a StartError unless this program can read a store with that header. */
export function assertReadable(header: StoreHeader, where: string): void {
  const { schemaVersion, storeId } = header;
  if (schemaVersion > SCHEMA_VERSION) {
    throw new StartError(
      `${where} was written by a newer sessiond (schema ${schemaVersion}, this one reads up to ${SCHEMA_VERSION}); use that version`,
    );
  }
  if (schemaVersion < 1 || storeId.length !== 16) {
    throw damagedHeader(where);
  }
}

/** The error of a store whose header is missing or cannot be read. */
export function damagedHeader(where: string): StartError {
  return new StartError(
    `${where} has a damaged header; restore it from a backup, or start with an empty folder`,
  );
}
