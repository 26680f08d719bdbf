import { create } from "@bufbuild/protobuf";
import type { Event } from "@sessiond/contract";
import { type NamespaceLogEntry, NamespaceLogEntrySchema } from "@sessiond/contract/store";
import { sizeOf } from "../../store/encoded.ts";
import { uidBytes } from "../../store/keys.ts";
import type { Committed, SessionKey } from "../../store/store.ts";

/** An entry in the log of a namespace, and its events if they are in memory. */
export interface NamespaceCommit {
  readonly offset: number;
  readonly entry: NamespaceLogEntry;
  readonly events?: readonly Event[];
}

/** Who reads from it comes again within this time; when nobody does, nothing is kept. */
const unusedMs = 2_000;
/** What an event takes in memory beside its bytes, about. */
const overheadBytes = 512;

interface Kept {
  readonly key: SessionKey;
  readonly offset: number;
  readonly events: readonly Event[];
  readonly bytes: number;
}

/**
 * The newest commits of all namespaces, as they were handed to the store, within a bound of bytes: readers
 * that follow closely need not read and decode them, and several get the same events. While nobody reads,
 * for example because what sinks send to is away, nothing is kept.
 */
export class RecentCommits {
  readonly #limitBytes: number;
  /** By namespace and offset, the oldest first. */
  readonly #kept = new Map<string, Map<number, Kept>>();
  readonly #order: Kept[] = [];
  /** Of the order, how many are gone; they are cut off together. */
  #gone = 0;
  #bytes = 0;
  #usedMs = Number.NEGATIVE_INFINITY;

  constructor({ limitBytes }: { readonly limitBytes: number }) {
    this.#limitBytes = limitBytes;
  }

  add(committed: Committed): void {
    const { change, offset } = committed;
    const { events, key } = change;
    if (performance.now() - this.#usedMs > unusedMs) {
      this.#clear();
      return;
    }
    // Deletions, imports and forks have other entries; they are read from the store.
    if (offset === 0 || events.length === 0 || change.after === undefined) return;
    if (change.staged !== undefined || change.copies !== undefined) return;
    const bytes = events.reduce((sum, event) => sum + sizeOf(event) + overheadBytes, 0);
    // Not the rest of the change: heads are large.
    const kept = { key, offset, events, bytes };
    let ofNamespace = this.#kept.get(key.namespace);
    if (ofNamespace === undefined) {
      ofNamespace = new Map();
      this.#kept.set(key.namespace, ofNamespace);
    }
    ofNamespace.set(offset, kept);
    this.#order.push(kept);
    this.#bytes += bytes;
    while (this.#bytes > this.#limitBytes) this.#forgetOldest();
  }

  /** Commits that follow a place without a hole, up to an end; none when the next one is not known. */
  after(args: {
    readonly namespace: string;
    readonly place: number;
    readonly end: number;
    readonly limit: number;
  }): NamespaceCommit[] {
    const { namespace, place, end, limit } = args;
    this.#usedMs = performance.now();
    const kept = this.#kept.get(namespace);
    const found: NamespaceCommit[] = [];
    for (let offset = place + 1; offset <= end && found.length < limit; offset++) {
      const commit = kept?.get(offset);
      if (commit === undefined) break;
      found.push(commitOf(commit));
    }
    return found;
  }

  /**
   * Commits that were read from the store behind a place, with the events that are in memory. Next to the
   * place it finds also what the store has no more, because the session was deleted.
   */
  completed(
    stored: readonly NamespaceCommit[],
    args: { readonly namespace: string; readonly place: number; readonly end: number },
  ): readonly NamespaceCommit[] {
    const { namespace, place, end } = args;
    const kept = this.#kept.get(namespace);
    if (kept === undefined) return stored;
    const byOffset = new Map(stored.map((commit) => [commit.offset, commit]));
    const found: NamespaceCommit[] = [];
    for (let offset = place + 1; offset <= end; offset++) {
      const commit = kept.get(offset);
      const known = commit === undefined ? byOffset.get(offset) : commitOf(commit);
      if (known !== undefined) found.push(known);
    }
    return found.length > 0 ? found : stored;
  }

  #clear(): void {
    this.#kept.clear();
    this.#order.length = 0;
    this.#gone = 0;
    this.#bytes = 0;
  }

  #forgetOldest(): void {
    const oldest = this.#order[this.#gone++];
    if (oldest === undefined) return;
    this.#bytes -= oldest.bytes;
    const { namespace } = oldest.key;
    const ofNamespace = this.#kept.get(namespace);
    ofNamespace?.delete(oldest.offset);
    if (ofNamespace?.size === 0) this.#kept.delete(namespace);
    if (this.#gone < 1_024) return;
    this.#order.splice(0, this.#gone);
    this.#gone = 0;
  }
}

function commitOf(kept: Kept): NamespaceCommit {
  const { offset, events } = kept;
  return { offset, entry: entryOf(kept), events };
}

/** As the store writes it, see `store/indexes.ts`. */
function entryOf({ key, events }: Kept): NamespaceLogEntry {
  return create(NamespaceLogEntrySchema, {
    sessionId: key.sessionId,
    sessionUid: Uint8Array.from(uidBytes(key.uid)),
    firstRevision: events[0]?.revision ?? 0,
    lastRevision: events.at(-1)?.revision ?? 0,
  });
}
