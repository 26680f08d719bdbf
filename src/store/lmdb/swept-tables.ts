import { fromBinary } from "@bufbuild/protobuf";
import { type NamespaceLogEntry, NamespaceLogEntrySchema } from "@sessiond/contract/store";
import { logKey, parseLogKey, prefixEnd, uidBytes } from "../keys.ts";
import type { LogPlace, PlacedEntry, SweptLogs } from "../log-sweep.ts";
import { decodeRecord } from "../records.ts";
import type { Table, Tables } from "./tables.ts";

/** The logs of all namespaces on disk, for the sweep through them. */
export class SweptTables implements SweptLogs {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  entries({ after, limit }: { after: LogPlace | undefined; limit: number }): PlacedEntry[] {
    const entries: PlacedEntry[] = [];
    for (const { key, value } of this.#tables.log.getRange({
      ...(after && { start: logKey(after), exclusiveStart: true }),
      limit,
    })) {
      entries.push({ ...parseLogKey(key), entry: decoded(key, value) });
    }
    return entries;
  }

  newestOffset(namespace: string): number {
    return newestOffset(this.#tables.log, namespace);
  }

  hasSession(uid: string): boolean {
    return this.#tables.heads.getBinary(uidBytes(uid)) !== undefined;
  }

  entryCount(): number {
    return (this.#tables.log.getStats() as { entryCount: number }).entryCount;
  }
}

/** Offset of the newest entry of a namespace's log on disk; 0 for none. */
export function newestOffset(log: Table, namespace: string): number {
  const first = logKey({ namespace, offset: 0 });
  const end = prefixEnd(first.subarray(0, first.length - 8));
  for (const key of log.getKeys({ start: end, end: first, reverse: true, limit: 1 })) {
    return parseLogKey(key).offset;
  }
  return 0;
}

function decoded(key: Buffer, value: Buffer): NamespaceLogEntry | undefined {
  try {
    const content = decodeRecord(key, value, () => ({ record: "log entry" }));
    return fromBinary(NamespaceLogEntrySchema, content);
  } catch {
    // Left where it is: who reads it is told.
    return undefined;
  }
}
