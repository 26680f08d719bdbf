import { fromBinary } from "@bufbuild/protobuf";
import { type Event, EventSchema, SessionSchema } from "@sessiond/contract";
import {
  type NamespaceLogEntry,
  type RequestRecord,
  RequestRecordSchema,
  SessionHeadSchema,
  type StateRecord,
  StateRecordSchema,
} from "@sessiond/contract/store";
import type { SessionPlace } from "../in-flight.ts";
import {
  indexKey,
  indexPrefix,
  parseDeadlineKey,
  parseIndexKey,
  prefixEnd,
  type SessionName,
  stateKey,
} from "../keys.ts";
import { LogSweep } from "../log-sweep.ts";
import type { Deadline, EventRange, SessionQuery, StateScope, StoredSession } from "../store.ts";
import type { Effects, EventBytes, SessionBytes } from "./effects.ts";
import { NamespaceLogs } from "./namespace-logs.ts";
import { OrderedKeys } from "./ordered-keys.ts";

/** What is in a memory store: applies effects, and reads like any engine. */
export class MemoryTables {
  /** Namespace → session id → session. */
  readonly #sessions = new Map<string, Map<string, SessionBytes>>();
  /** Uid → events; revision r stands at r - 1. */
  readonly #events = new Map<string, EventBytes[]>();
  /** Uids of the sessions that are there. */
  readonly #uids = new Set<string>();
  readonly #logs = new NamespaceLogs();
  readonly #logSweep = new LogSweep({
    entries: (args) => this.#logs.entries(args),
    newestOffset: (namespace) => this.#logs.newestOffset(namespace),
    entryCount: () => this.#logs.entryCount(),
    hasSession: (uid) => this.#uids.has(uid),
  });
  /** Hexadecimal request key → record. */
  readonly #requests = new Map<string, { record: Uint8Array; expireTimeMs: number }>();
  /** Hexadecimal state key → record. */
  readonly #states = new Map<string, Uint8Array>();
  readonly #indexes = new OrderedKeys();
  readonly #deadlines = new OrderedKeys();

  /** Applies a change; gives its offset in the log of the namespace, 0 for none. */
  apply(effects: Effects): number {
    const { key, newName = key.sessionId, after, events, request } = effects;
    const sessions = getOrAdd(this.#sessions, key.namespace, () => new Map());
    if (after === undefined) {
      sessions.delete(key.sessionId);
      this.#events.delete(key.uid);
      if (this.#uids.delete(key.uid)) this.#logSweep.noteDeletion();
    } else {
      this.#uids.add(key.uid);
      if (newName !== key.sessionId) sessions.delete(key.sessionId);
      sessions.set(newName, after);
      if (events.length > 0) getOrAdd(this.#events, key.uid, () => []).push(...events);
    }
    update(this.#indexes, effects.indexes);
    update(this.#deadlines, effects.deadlines);
    if (request !== undefined) {
      this.#requests.set(hex(request.key), request);
    }
    for (const state of effects.states) {
      if (state.record === undefined) this.#states.delete(hex(state.key));
      else this.#states.set(hex(state.key), state.record);
    }
    if (effects.logEntry === undefined) return 0;
    return this.#logs.add(key.namespace, effects.logEntry);
  }

  place({ namespace, sessionId }: SessionName): SessionPlace | undefined {
    return this.#sessions.get(namespace)?.get(sessionId);
  }

  isTaken(name: SessionName): boolean {
    return this.place(name) !== undefined;
  }

  session({ namespace, sessionId }: SessionName): StoredSession | undefined {
    const bytes = this.#sessions.get(namespace)?.get(sessionId);
    return bytes && stored(bytes);
  }

  events(range: EventRange): Event[] {
    const { uid, first, last, reverse = false, wholeBatches = false } = range;
    const { maxEvents, maxBytes } = range;
    const log = this.#events.get(uid) ?? [];
    const newest = Math.min(last, log.length);
    const oldest = Math.max(first, 1);
    const events: Event[] = [];
    let bytes = 0;
    let insideBatch = false;
    for (let i = 0; i <= newest - oldest; i++) {
      const found = log[(reverse ? newest - i : oldest + i) - 1];
      if (found === undefined) break;
      bytes += found.content.length;
      const isFull = events.length >= maxEvents || (events.length > 0 && bytes > maxBytes);
      if (isFull && !insideBatch) break;
      events.push(fromBinary(EventSchema, Uint8Array.from(found.content)));
      insideBatch = wholeBatches && found.continues;
    }
    return events;
  }

  sessions({ namespace, index, reverse = false, after, limit }: SessionQuery): StoredSession[] {
    const prefix = indexPrefix(namespace, index);
    const from = after && indexKey({ namespace, index, position: after });
    const found: StoredSession[] = [];
    for (const key of this.#indexes.range({
      // No key lies between one and the same with a zero byte behind.
      start: from && !reverse ? Buffer.concat([from, Buffer.alloc(1)]) : prefix,
      end: from && reverse ? from : prefixEnd(prefix),
      reverse,
    })) {
      if (found.length >= limit) break;
      const { sessionId } = parseIndexKey(key).position;
      const session = this.session({ namespace, sessionId });
      if (session !== undefined) found.push(session);
    }
    return found;
  }

  log(args: {
    namespace: string;
    afterOffset: number;
    limit: number;
  }): { offset: number; entry: NamespaceLogEntry }[] {
    const { namespace, afterOffset: offset, limit } = args;
    return this.#logs.after({ namespace, offset }, limit);
  }

  offset(namespace: string): number {
    return this.#logs.newestOffset(namespace);
  }

  goneThrough(namespace: string): number {
    return this.#logs.goneThrough(namespace);
  }

  request(key: Uint8Array): RequestRecord | undefined {
    const found = this.#requests.get(hex(key));
    return found && fromBinary(RequestRecordSchema, Uint8Array.from(found.record));
  }

  state(scope: StateScope): StateRecord | undefined {
    const found = this.#states.get(hex(stateKey(scope)));
    return found && fromBinary(StateRecordSchema, Uint8Array.from(found));
  }

  deadlines({ nowMs, limit }: { nowMs: number; limit: number }): Deadline[] {
    const due: Deadline[] = [];
    for (const key of this.#deadlines.all()) {
      const deadline = parseDeadlineKey(key);
      if (due.length >= limit || deadline.dueMs > nowMs) break;
      due.push(deadline);
    }
    return due;
  }

  /** A piece of housekeeping; true when there may be more. */
  maintain(piece: { nowMs: number; limit: number }): boolean {
    const swept = this.#logSweep.find(piece);
    if (swept === undefined) return this.#removeExpired(piece);
    this.#logs.remove(swept);
    return true;
  }

  /** Removes up to `limit` requests that expired; true when there may be more. */
  #removeExpired({ nowMs, limit }: { nowMs: number; limit: number }): boolean {
    let removed = 0;
    for (const [key, { expireTimeMs }] of this.#requests) {
      if (removed >= limit) return true;
      if (expireTimeMs >= nowMs) continue;
      this.#requests.delete(key);
      removed++;
    }
    return false;
  }
}

function stored({ session, head }: SessionBytes): StoredSession {
  // Copies, because a message hands out parts of the bytes it was decoded from.
  return {
    session: fromBinary(SessionSchema, Uint8Array.from(session)),
    head: fromBinary(SessionHeadSchema, Uint8Array.from(head)),
  };
}

function update(keys: OrderedKeys, { puts, removes }: Effects["indexes"]): void {
  for (const key of removes) keys.delete(key);
  for (const key of puts) keys.add(key);
}

function getOrAdd<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}
