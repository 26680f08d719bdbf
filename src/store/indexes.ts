import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Session, SessionParentKind } from "@sessiond/contract";
import {
  type LogSegment,
  type NamespaceLogEntry,
  NamespaceLogEntrySchema,
  type SessionHead,
} from "@sessiond/contract/store";
import { newNameOf } from "./in-flight.ts";
import { deadlineKey, indexKey, referenceKey, uidBytes } from "./keys.ts";
import type { Change, SessionIndex, SessionKey } from "./store.ts";

/** Keys to add and to remove. The keys say everything, they have no values. */
export interface KeyChanges {
  readonly puts: readonly Uint8Array[];
  readonly removes: readonly Uint8Array[];
}

/** What a change means for everything that is derived from sessions, the same in every engine. */
export interface Derived {
  /** Lists of sessions, see `indexKey`. */
  readonly indexes: KeyChanges;
  /** Sessions by the time they expire, see `deadlineKey`. */
  readonly deadlines: KeyChanges;
  /** Logs that the session shares, see `referenceKey`. */
  readonly references: KeyChanges;
  /** Logs whose events nobody may need any more: its own when it is deleted, and those it shared. */
  readonly released: readonly Uint8Array[];
  /**
   * Entries for the log of the namespace: none when the change has no events and deletes nothing,
   * several when it has batches that were staged, because a watch shows an entry as one message.
   */
  readonly logEntries: readonly NamespaceLogEntry[];
}

/** A commit that leads to this head keeps it, so that the session can be forked there. */
export function isCheckpoint({ revision, checkpointRevision }: SessionHead): boolean {
  return revision > 0 && revision === checkpointRevision;
}

const NONE: KeyChanges = { puts: [], removes: [] };

/** Derives index entries, deadlines and the namespace log from a change. */
export function derive(change: Change): Derived {
  const before = change.before?.session;
  const after = change.after?.session;
  const keyAfter = { ...change.key, ...newNameOf(change) };
  // An append changes the head only: nothing derived from the session's own fields moves.
  const unchanged = before === after;
  return {
    indexes: unchanged
      ? NONE
      : difference(indexKeysOf(change.key, before), indexKeysOf(keyAfter, after)),
    deadlines: unchanged
      ? NONE
      : difference(deadlineKeysOf(change.key, before), deadlineKeysOf(keyAfter, after)),
    ...inheritance(change),
    logEntries: logRangesOf(change).map(({ first, last }) =>
      create(NamespaceLogEntrySchema, {
        sessionId: change.key.sessionId,
        sessionUid: new Uint8Array(uidBytes(change.key.uid)),
        firstRevision: first,
        lastRevision: last,
        deleted: change.after === undefined,
        ...(change.deleteTimeMs !== undefined && {
          deleteTime: timestampFromMs(change.deleteTimeMs),
        }),
      }),
    ),
  };
}

function inheritance({ key, before, after }: Change): Pick<Derived, "references" | "released"> {
  const old = before?.head.inherited ?? [];
  const now = after?.head.inherited ?? [];
  const keys = (segments: readonly LogSegment[]) => referencesOf(key.uid, segments);
  const isDeleted = before !== undefined && after === undefined;
  return {
    references: old === now ? NONE : difference(keys(old), keys(now)),
    released: isDeleted ? [uidBytes(key.uid), ...old.map(({ uid }) => uid)] : [],
  };
}

/** Every key that a session has in the lists and among the deadlines. */
export function derivedKeys(session: Session): {
  readonly indexes: readonly Uint8Array[];
  readonly deadlines: readonly Uint8Array[];
} {
  return { indexes: indexKeysOf(session, session), deadlines: deadlineKeysOf(session, session) };
}

/** The uid of the session whose child it is; undefined: nobody's, or one whose parent is a mere name. */
export function parentUidOf({ parent }: Pick<Session, "parent">): string | undefined {
  const isChild = parent?.kind === SessionParentKind.CHILD && parent.uid !== "";
  return isChild ? parent.uid : undefined;
}

/** Every reference of a session to the logs it shares. */
export function referencesOf(uid: string, inherited: readonly LogSegment[]): Uint8Array[] {
  return inherited.map(({ uid: log, lastRevision }) => referenceKey({ log, lastRevision, uid }));
}

/** First and last revisions of what a change means to those who watch the namespace. */
function logRangesOf({ before, after, events, staged }: Change) {
  if (after === undefined) {
    const revision = before?.head.revision ?? 0;
    return before === undefined ? [] : [{ first: Math.min(1, revision), last: revision }];
  }
  if (staged !== undefined) {
    return staged.map((last, index) => ({ first: (staged[index - 1] ?? 0) + 1, last }));
  }
  // Of a fork the log of the namespace has its own events only.
  const [first] = events;
  const last = events.at(-1);
  return first && last ? [{ first: first.revision, last: last.revision }] : [];
}

function indexKeysOf(key: SessionKey, session: Session | undefined): Uint8Array[] {
  if (session === undefined) return [];
  const indexes: SessionIndex[] = [{ by: "all" }, { by: "state", value: session.state }];
  if (session.agentId !== "") indexes.push({ by: "agent", value: session.agentId });
  if (session.userId !== "") indexes.push({ by: "user", value: session.userId });
  const parentUid = parentUidOf(session);
  if (parentUid !== undefined) indexes.push({ by: "parent", value: parentUid });
  const createTimeMs = milliseconds(session.createTime);
  return indexes.map((index) =>
    indexKey({
      namespace: key.namespace,
      index,
      position: { createTimeMs, sessionId: key.sessionId },
    }),
  );
}

function deadlineKeysOf(key: SessionKey, session: Session | undefined): Uint8Array[] {
  if (session?.expireTime === undefined) return [];
  return [deadlineKey({ dueMs: milliseconds(session.expireTime), key })];
}

/** A time in whole milliseconds since 1970; 0 for none and for what lies before. */
function milliseconds(time: Timestamp | undefined): number {
  return time === undefined ? 0 : Math.max(0, Math.floor(timestampMs(time)));
}

function difference(before: readonly Uint8Array[], after: readonly Uint8Array[]): KeyChanges {
  const lacks = (keys: readonly Uint8Array[], key: Uint8Array) =>
    !keys.some((other) => Buffer.compare(other, key) === 0);
  return {
    puts: after.filter((key) => lacks(before, key)),
    removes: before.filter((key) => lacks(after, key)),
  };
}
