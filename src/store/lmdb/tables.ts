import type { Database } from "lmdb";
import { RECORD_TABLES } from "../store.ts";

/*
 * The named databases. Keys are laid out in `keys.ts`, values in `records.ts`.
 *
 *   meta        "header"   → StoreHeader
 *               "uncounted" → session key: rollups lack the sessions behind it
 *               gone       → offset of the newest deletion removed from a namespace's log (8)
 *   sessions    session    → Session, without what the head carries
 *   heads       uid        → SessionHead
 *   events      event      → Event
 *   log         log        → NamespaceLogEntry
 *   indexes     index      → nothing
 *   deadlines   deadline   → nothing
 *   requests    request    → expire time in ms (8), RequestRecord
 *   garbage     uid        → nothing: a log whose events may be needed by nobody any more, or a
 *                            staged one
 *   states      state      → StateRecord
 *   references  reference  → nothing: a fork shares the log
 *   checkpoints checkpoint → SessionHead at that revision
 *   consumers   consumer   → ConsumerRecord
 *   rollups     rollup     → counters, or a histogram: see `rollup-*.ts`
 *
 * Beside these stands "chain", see `write-chain.ts`.
 */
export const TABLE_NAMES = ["meta", ...RECORD_TABLES] as const;

export type TableName = (typeof TABLE_NAMES)[number];
export type Table = Database<Buffer, Buffer>;
export type Tables = { readonly [name in TableName]: Table };

/** One put, or without a value one remove. */
export interface Write {
  readonly table: TableName;
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
}

/** Key of the header in "meta". */
export const HEADER_KEY = Buffer.from("header");

/** Key in "meta" of how far a store of before there were rollups is counted. Absent: all of it. */
export const UNCOUNTED_KEY = Buffer.from("uncounted");

export const NO_VALUE = Buffer.alloc(0);

/** Length of the expire time in front of a request record: milliseconds, big endian. */
export const REQUEST_TIME_BYTES = 8;
