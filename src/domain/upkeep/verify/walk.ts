import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { DataLossError } from "../../../errors.ts";
import { limits } from "../../../limits.ts";
import type { RecordTable, Store, StoredRecord } from "../../../store/store.ts";
import { type Concerned, finding } from "./finding.ts";
import type { Findings, Run } from "./run.ts";

/** Walks through a table, a page at a time; says so when a part of it cannot be read, and ends there. */
export async function* pagesOf(
  run: Run,
  table: RecordTable,
): AsyncGenerator<readonly StoredRecord[] | Findings> {
  let after: Uint8Array | undefined;
  for (;;) {
    const page = await readable(run.store, table, after);
    if (page === undefined) {
      const place = after === undefined ? "at its beginning" : "behind what was looked at";
      yield { findings: [finding("TABLE_UNREADABLE", {}, `table ${table}, ${place}`)] };
      return;
    }
    if (page.length === 0) return;
    run.records += page.length;
    yield page;
    after = page.at(-1)?.key;
    await run.pace.between();
  }
}

async function readable(store: Store, table: RecordTable, after: Uint8Array | undefined) {
  try {
    const [page] = await store.records({
      table,
      ...(after && { after }),
      limit: limits.verifyRecords,
      maxBytes: limits.verifyBytes,
    });
    return page;
  } catch (error) {
    if (error instanceof DataLossError) return undefined;
    throw error;
  }
}

/** The record under one key. */
export function exactly(table: RecordTable, key: Uint8Array) {
  return { table, prefix: key, limit: 1 } as const;
}

/** Of what a range for one key gave, the record that has the key. */
export function under(
  key: Uint8Array,
  [record]: readonly StoredRecord[] = [],
): StoredRecord | undefined {
  return record !== undefined && Buffer.compare(record.key, key) === 0 ? record : undefined;
}

/** A message, or undefined for a record that is damaged. */
export function decoded<Desc extends DescMessage>(
  schema: Desc,
  { content }: StoredRecord,
): MessageShape<Desc> | undefined {
  if (!(content instanceof Uint8Array)) return undefined;
  try {
    return fromBinary(schema, content);
  } catch {
    return undefined;
  }
}

/** What a key says, or undefined for one that says nothing. */
export function parsed<T>(parse: (key: Uint8Array) => T, key: Uint8Array): T | undefined {
  try {
    return parse(key);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The finding for a record that `decoded` gave undefined for. */
export function damaged(what: string, concerned: Concerned): Findings {
  return { findings: [finding("RECORD_DAMAGED", concerned, `${what} is not what was written`)] };
}
