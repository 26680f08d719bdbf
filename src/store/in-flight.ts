import { RevisionConflictError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { SessionName } from "./keys.ts";
import type { Change, SessionKey } from "./store.ts";

/** Where a session is: its log, and the revision of its newest event. */
export interface SessionPlace {
  readonly uid: string;
  readonly revision: number;
}

/** What an engine has stored. */
export interface StoredPlaces {
  place(key: SessionKey): SessionPlace | undefined;
  /** Some session has the name. */
  isTaken(name: SessionName): boolean;
}

/**
 * Where sessions with commits under way will be once these are done.
 *
 * An engine that writes later than it answers decides by this, and by what it has stored only for
 * sessions that are not in here. Holds one small entry for each such session; those that were here last
 * stay as long as there is room, because nobody else moves a session, and to read a head for every
 * append takes longer than to write one.
 */
export class InFlight {
  /** Those that commits began on last come last. */
  readonly #sessions = new Map<string, { place: SessionPlace | undefined; commits: number }>();
  readonly #remembered: number;

  constructor(
    args: {
      /** Sessions without a commit under way that stay. Default: `limits.cachedSessions`. */
      remembered?: number;
    } = {},
  ) {
    this.#remembered = args.remembered ?? limits.cachedSessions;
  }

  /**
   * Checks a change against the session as it will be after the commits called before.
   *
   * Errors: RevisionConflictError when the session is not at `before`; RangeError when the change
   * contradicts itself, which is a defect of the caller.
   */
  check(change: Change, stored: StoredPlaces): void {
    assertConsistent(change);
    // It concerns no name yet, and nobody else has its uid.
    if (isStaging(change)) return;
    const entry = this.#sessions.get(nameOf(change.key));
    const actual = entry === undefined ? stored.place(change.key) : entry.place;
    const expected = change.before?.head.revision;
    const same = expected === undefined ? !actual : actual?.uid === change.key.uid;
    if (same && actual?.revision === expected) {
      const target = newNameOf(change);
      if (target !== undefined) this.#checkFree(target, stored);
      return;
    }
    throw new RevisionConflictError({
      sessionId: change.key.sessionId,
      expected: expected ?? 0,
      actual: actual?.revision ?? 0,
    });
  }

  /** Notes that a checked change is under way. Each needs one `end`. */
  begin(change: Change): void {
    if (isStaging(change)) return;
    const revision = change.after?.head.revision;
    const place = revision === undefined ? undefined : { uid: change.key.uid, revision };
    const target = newNameOf(change);
    this.#begin(nameOf(change.key), target === undefined ? place : undefined);
    if (target !== undefined) this.#begin(nameOf(target), place);
  }

  /** Notes that the oldest change under way of its session is stored. */
  end(change: Change): void {
    if (isStaging(change)) return;
    const target = newNameOf(change);
    this.#end(nameOf(change.key));
    if (target !== undefined) this.#end(nameOf(target));
  }

  #checkFree(name: SessionName, stored: StoredPlaces): void {
    const entry = this.#sessions.get(nameOf(name));
    const isTaken = entry === undefined ? stored.isTaken(name) : entry.place !== undefined;
    if (!isTaken) return;
    const actual = entry?.place?.revision ?? 0;
    throw new RevisionConflictError({ sessionId: name.sessionId, expected: 0, actual });
  }

  #begin(name: string, place: SessionPlace | undefined): void {
    const commits = (this.#sessions.get(name)?.commits ?? 0) + 1;
    this.#sessions.delete(name);
    this.#sessions.set(name, { place, commits });
  }

  #end(name: string): void {
    const entry = this.#sessions.get(name);
    if (entry === undefined) return;
    entry.commits -= 1;
    if (this.#sessions.size > this.#remembered) this.#forget();
  }

  /** Forgets sessions without a commit under way until there is room, the oldest first. */
  #forget(): void {
    // Many at once: each walk passes over all that was deleted from the front before.
    const room = Math.floor(this.#remembered * 0.9);
    for (const [name, { commits }] of this.#sessions) {
      if (commits === 0) this.#sessions.delete(name);
      if (this.#sessions.size <= room) return;
    }
  }
}

/** The change stages events, or gives up what was staged: there is no session yet. */
export function isStaging({ staged, after }: Change): boolean {
  return staged !== undefined && after === undefined;
}

/** The name that a change gives to its session; undefined: it keeps the one it has. */
export function newNameOf({ key, after }: Change): SessionName | undefined {
  if (after === undefined || after.session.sessionId === key.sessionId) return undefined;
  return { namespace: key.namespace, sessionId: after.session.sessionId };
}

function nameOf({ namespace, sessionId }: SessionName): string {
  // The length keeps ("a", "bc") and ("ab", "c") apart.
  return `${namespace.length}:${namespace}${sessionId}`;
}

function assertConsistent(change: Change): void {
  const {
    before,
    after,
    copies = [],
    events,
    key,
    request,
    staged,
    states = [],
    consumers = [],
  } = change;
  if (change.checkpoints !== undefined && !isStaging(change) && copies.length === 0) {
    throw new RangeError(
      `change of "${key.sessionId}" has checkpoints of events that it neither stages nor copies`,
    );
  }
  if (staged !== undefined && (before !== undefined || request !== undefined)) {
    throw new RangeError(`change of "${key.sessionId}" stages events of a session that is there`);
  }
  if (staged !== undefined && after !== undefined && events.length > 0) {
    throw new RangeError(`change of "${key.sessionId}" adds events to those that were staged`);
  }
  if (staged !== undefined && (copies.length > 0 || (after?.head.inherited.length ?? 0) > 0)) {
    throw new RangeError(`change of "${key.sessionId}" stages the log of a fork`);
  }
  const concernsSession = before !== undefined || after !== undefined || staged !== undefined;
  const concernsOthers = states.length + consumers.length > 0 || change.rollups !== undefined;
  if (!concernsSession && request === undefined && !concernsOthers) {
    throw new RangeError(`change of "${key.sessionId}" changes nothing`);
  }
  if (after === undefined && staged === undefined && events.length > 0) {
    throw new RangeError(`change of "${key.sessionId}" deletes the session and adds events`);
  }
  const deletes = before !== undefined && after === undefined;
  if (deletes !== (change.deleteTimeMs !== undefined)) {
    throw new RangeError(
      `change of "${key.sessionId}" needs a delete time if it deletes, only then`,
    );
  }
  const begin = staged?.at(-1) ?? before?.head.revision;
  let revision = begin ?? after?.head.inherited.at(-1)?.lastRevision ?? 0;
  for (const event of [...copies, ...events]) {
    revision += 1;
    if (event.revision !== revision) {
      throw new RangeError(
        `event of "${key.sessionId}" has revision ${event.revision}, not ${revision}`,
      );
    }
  }
  if (after !== undefined && after.head.revision !== revision) {
    throw new RangeError(
      `head of "${key.sessionId}" is at ${after.head.revision}, its events at ${revision}`,
    );
  }
}
