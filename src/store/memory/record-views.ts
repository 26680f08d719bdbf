import {
  eventKey,
  logKey,
  parseEventKey,
  parseLogKey,
  sessionKey,
  uidBytes,
  uidText,
} from "../keys.ts";
import type { RecordRange, RecordTable, StoredRecord } from "../store.ts";
import type { SessionBytes } from "./effects.ts";
import type { NamespaceLogs } from "./namespace-logs.ts";
import {
  type Lists,
  type LooseRecords,
  listRecords,
  looseRecords,
  SortedWalk,
} from "./record-pages.ts";
import type { MemoryLog } from "./tables.ts";

const eventKeyBytes = 20;

/** What a memory store keeps, see `tables.ts`. */
export interface Kept {
  readonly sessions: ReadonlyMap<string, ReadonlyMap<string, SessionBytes>>;
  readonly heads: ReadonlyMap<string, SessionBytes>;
  readonly logs: ReadonlyMap<string, MemoryLog>;
  readonly namespaceLogs: Pick<NamespaceLogs, "places" | "content">;
  readonly requests: ReadonlyMap<
    string,
    { readonly record: Uint8Array; readonly expireTimeMs: number }
  >;
  readonly states: ReadonlyMap<string, Uint8Array>;
  readonly consumers: ReadonlyMap<string, Uint8Array>;
}

/** Shows what a memory store keeps as records under the keys that every engine has. */
export class RecordViews {
  readonly #loose: Partial<Record<RecordTable, { table: LooseRecords; walk: SortedWalk }>>;
  readonly #lists: Partial<Record<RecordTable, { lists: Lists; walk: SortedWalk }>>;

  constructor(kept: Kept) {
    this.#loose = {
      sessions: loose(sessionsOf(kept)),
      heads: loose(headsOf(kept)),
      requests: loose(requestsOf(kept)),
      states: loose(byHexKey(kept.states)),
      consumers: loose(byHexKey(kept.consumers)),
      checkpoints: loose(checkpointsOf(kept)),
      log: loose(namespaceLogsOf(kept)),
    };
    this.#lists = { events: listed(eventsOf(kept)) };
  }

  /** Nothing for a table that is kept in order, or not at all. */
  *records(range: RecordRange): Generator<StoredRecord> {
    const loose = this.#loose[range.table];
    if (loose !== undefined) yield* looseRecords(loose.table, loose.walk, range);
    const listed = this.#lists[range.table];
    if (listed !== undefined) yield* listRecords(listed.lists, listed.walk, range);
  }
}

const loose = (table: LooseRecords) => ({ table, walk: new SortedWalk(() => table.keys()) });
const listed = (lists: Lists) => ({ lists, walk: new SortedWalk(() => lists.prefixes()) });

function sessionsOf({ sessions }: Kept): LooseRecords {
  return {
    *keys() {
      for (const [namespace, named] of sessions) {
        for (const sessionId of named.keys()) yield sessionKey({ namespace, sessionId });
      }
    },
    content(key) {
      const nameEnd = 1 + (key[0] ?? 0);
      const text = (from: number, to?: number) => Buffer.from(key.subarray(from, to)).toString();
      return sessions.get(text(1, nameEnd))?.get(text(nameEnd))?.session;
    },
  };
}

function headsOf({ heads }: Kept): LooseRecords {
  return {
    *keys() {
      for (const uid of heads.keys()) yield uidBytes(uid);
    },
    content: (key) => heads.get(uidText(key))?.head,
  };
}

/** As LMDB has them: the expire time in front. */
function requestsOf({ requests }: Kept): LooseRecords {
  return {
    *keys() {
      for (const key of requests.keys()) yield Buffer.from(key, "hex");
    },
    content(key) {
      const found = requests.get(Buffer.from(key).toString("hex"));
      if (found === undefined) return undefined;
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(BigInt(found.expireTimeMs));
      return Buffer.concat([time, found.record]);
    },
  };
}

function byHexKey(records: ReadonlyMap<string, Uint8Array>): LooseRecords {
  return {
    *keys() {
      for (const key of records.keys()) yield Buffer.from(key, "hex");
    },
    content: (key) => records.get(Buffer.from(key).toString("hex")),
  };
}

function checkpointsOf({ logs }: Kept): LooseRecords {
  return {
    *keys() {
      for (const [uid, { checkpoints }] of logs) {
        for (const revision of checkpoints.keys()) yield eventKey({ uid, revision });
      }
    },
    content(key) {
      // A range may ask for all of a log: its uid alone is no key.
      if (key.length !== eventKeyBytes) return undefined;
      const { uid, revision } = parseEventKey(key);
      return logs.get(uid)?.checkpoints.get(revision);
    },
  };
}

function eventsOf({ logs }: Kept): Lists {
  const firstOf = (prefix: Uint8Array) => logs.get(uidText(prefix))?.first ?? 1;
  return {
    *prefixes() {
      for (const uid of logs.keys()) yield uidBytes(uid);
    },
    first: firstOf,
    entry: (prefix, revision) => logs.get(uidText(prefix))?.events[revision - firstOf(prefix)],
    placeOf(key) {
      const { uid, revision } = parseEventKey(key);
      return { prefix: uidBytes(uid), number: revision };
    },
    key: (prefix, revision) => eventKey({ uid: uidText(prefix), revision }),
  };
}

/** Their offsets have holes where sessions were deleted. */
function namespaceLogsOf({ namespaceLogs: logs }: Kept): LooseRecords {
  return {
    *keys() {
      for (const place of logs.places()) yield logKey(place);
    },
    content(key) {
      const place = parsedLogKey(key);
      return place && logs.content(place);
    },
  };
}

/** A range may ask for all of a namespace: its name alone is no key. */
function parsedLogKey(key: Uint8Array) {
  return key.length === (key[0] ?? 0) + 9 ? parseLogKey(key) : undefined;
}
