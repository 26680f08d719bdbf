import { fromBinary } from "@bufbuild/protobuf";
import { type NamespaceLogEntry, NamespaceLogEntrySchema } from "@sessiond/contract/store";
import type { LogPlace, PlacedEntry, SweptPiece } from "../log-sweep.ts";

interface KeptEntry {
  readonly offset: number;
  readonly content: Uint8Array;
}

interface NamespaceLog {
  /** By rising offset. */
  entries: KeptEntry[];
  newest: number;
  goneThrough: number;
}

/** The logs of the namespaces in a memory store. */
export class NamespaceLogs {
  readonly #logs = new Map<string, NamespaceLog>();

  /** Adds an entry; gives its offset. */
  add(namespace: string, content: Uint8Array): number {
    let log = this.#logs.get(namespace);
    if (log === undefined) {
      log = { entries: [], newest: 0, goneThrough: 0 };
      this.#logs.set(namespace, log);
    }
    log.newest += 1;
    log.entries.push({ offset: log.newest, content });
    return log.newest;
  }

  after({ namespace, offset }: LogPlace, limit: number) {
    const { entries = [] } = this.#logs.get(namespace) ?? {};
    const from = firstBehind(entries, offset);
    return entries.slice(from, from + limit).map(({ offset, content }) => ({
      offset,
      entry: decoded(content),
    }));
  }

  /** Names of the logs. */
  namespaces(): Iterable<string> {
    return this.#logs.keys();
  }

  /** Where all entries are. */
  *places(): Generator<LogPlace> {
    for (const [namespace, { entries }] of this.#logs) {
      for (const { offset } of entries) yield { namespace, offset };
    }
  }

  /** An entry in binary form. */
  content({ namespace, offset }: LogPlace): Uint8Array | undefined {
    const { entries = [] } = this.#logs.get(namespace) ?? {};
    const entry = entries[firstBehind(entries, offset - 1)];
    return entry?.offset === offset ? entry.content : undefined;
  }

  newestOffset(namespace: string): number {
    return this.#logs.get(namespace)?.newest ?? 0;
  }

  goneThrough(namespace: string): number {
    return this.#logs.get(namespace)?.goneThrough ?? 0;
  }

  /** Entries of all logs; their order is the one in which the logs began. */
  entries({ after, limit }: { after: LogPlace | undefined; limit: number }): PlacedEntry[] {
    const found: PlacedEntry[] = [];
    let isReached = after === undefined;
    for (const namespace of this.#logs.keys()) {
      const offset = namespace === after?.namespace ? after.offset : 0;
      isReached ||= namespace === after?.namespace;
      if (!isReached) continue;
      for (const entry of this.after({ namespace, offset }, limit - found.length)) {
        found.push({ namespace, ...entry });
      }
      if (found.length >= limit) break;
    }
    return found;
  }

  entryCount(): number {
    let count = 0;
    for (const { entries } of this.#logs.values()) count += entries.length;
    return count;
  }

  remove({ entries, goneThrough }: SweptPiece): void {
    const removed = new Map<string, Set<number>>();
    for (const { namespace, offset } of entries) {
      const offsets = removed.get(namespace) ?? new Set();
      removed.set(namespace, offsets.add(offset));
    }
    for (const [namespace, offsets] of removed) {
      const log = this.#logs.get(namespace);
      if (log === undefined) continue;
      log.entries = log.entries.filter(({ offset }) => !offsets.has(offset));
      log.goneThrough = goneThrough.get(namespace) ?? log.goneThrough;
    }
  }
}

function decoded(content: Uint8Array): NamespaceLogEntry {
  return fromBinary(NamespaceLogEntrySchema, Uint8Array.from(content));
}

/** Place of the first entry behind an offset. */
function firstBehind(entries: readonly KeptEntry[], offset: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.offset ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
