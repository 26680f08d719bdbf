import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  EventSchema,
  type Session,
  type SessionParent,
  SessionParentKind,
  SessionParentSchema,
  SessionSchema,
  SessionState,
} from "@sessiond/contract";
import { LogSegmentSchema, type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import { uidBytes } from "../../src/store/keys.ts";
import { segmentsUpTo } from "../../src/store/log.ts";
import type { Change, SessionKey, Store, StoredSession } from "../../src/store/store.ts";

export const NAMESPACE = "default";

export interface SessionFields {
  readonly namespace?: string;
  readonly sessionId?: string;
  readonly uid?: string;
  readonly state?: SessionState;
  readonly agentId?: string;
  readonly userId?: string;
  readonly createTimeMs?: number;
  readonly expireTimeMs?: number;
  readonly title?: string;
  readonly parent?: SessionParent;
}

/** What a child of the session with this uid says of it. */
export function childOf(uid: string, kind = SessionParentKind.CHILD): SessionParent {
  return create(SessionParentSchema, { sessionId: "parent", uid, kind });
}

/** A session at a revision, with the fields that matter to a store. */
export function storedSession(fields: SessionFields = {}, revision = 0): StoredSession {
  const { createTimeMs = 1_000, expireTimeMs, ...rest } = fields;
  const session = create(SessionSchema, {
    namespace: NAMESPACE,
    sessionId: "demo",
    uid: randomUUID(),
    state: SessionState.ACTIVE,
    createTime: timestampFromMs(createTimeMs),
    ...(expireTimeMs === undefined ? {} : { expireTime: timestampFromMs(expireTimeMs) }),
    ...rest,
  });
  return { session, head: headAt(revision) };
}

export function headAt(revision: number): SessionHead {
  return create(SessionHeadSchema, {
    revision,
    turn: revision,
    lastActivityTime: timestampFromMs(1_000 + revision),
    metrics: { events: revision },
  });
}

export function keyOf({ session }: StoredSession): SessionKey {
  const { namespace, sessionId, uid } = session;
  return { namespace, sessionId, uid };
}

export function textEvent(revision: number, text = `text ${revision}`): Event {
  return create(EventSchema, {
    revision,
    createTime: timestampFromMs(1_000 + revision),
    payload: { case: "message", value: { text } },
  });
}

/** Events from a revision on. */
export function textEvents(from: number, count: number, text?: string): Event[] {
  return Array.from({ length: count }, (_, i) => textEvent(from + i, text));
}

/** A change that makes a session with its first events. */
export function creation(fields: SessionFields = {}, events = 1): Change {
  const after = storedSession(fields, events);
  return { key: keyOf(after), after, events: textEvents(1, events) };
}

/** A change that adds events to what a change before left. */
export function addition(to: Change, events: number | readonly Event[] = 1): Change {
  const before = afterOf(to);
  const list = typeof events === "number" ? textEvents(before.head.revision + 1, events) : events;
  const after = { session: before.session, head: headAt(before.head.revision + list.length) };
  return { key: to.key, before, after, events: list };
}

/** A change of fields of a session, without events. */
export function update(of: Change, fields: SessionFields): Change {
  const before = afterOf(of);
  const { createTimeMs: _, expireTimeMs, ...rest } = fields;
  const session: Session = create(SessionSchema, { ...before.session, ...rest });
  if (expireTimeMs !== undefined) session.expireTime = timestampFromMs(expireTimeMs);
  return { key: of.key, before, after: { session, head: before.head }, events: [] };
}

/** A change that gives a session another name, with events if there are any. */
export function rename(of: Change, sessionId: string, events: readonly Event[] = []): Change {
  const before = afterOf(of);
  const session: Session = { ...before.session, sessionId };
  const head = events.length === 0 ? before.head : headAt(before.head.revision + events.length);
  return { key: of.key, before, after: { session, head }, events };
}

/** A change that makes a fork of what a change before left, with one event of its own. */
export function fork(of: Change, revision: number, sessionId: string): Change {
  const parent = afterOf(of);
  const { session } = storedSession({ sessionId });
  const own = create(LogSegmentSchema, {
    uid: new Uint8Array(uidBytes(parent.session.uid)),
    lastRevision: parent.head.revision,
  });
  const log = { uid: parent.session.uid, inherited: parent.head.inherited };
  const inherited = segmentsUpTo(log, own, revision);
  const after = { session, head: { ...headAt(revision + 1), inherited } };
  return { key: keyOf(after), after, events: textEvents(revision + 1, 1) };
}

/** A change that deletes what a change before left. */
export function deletion(of: Change, deleteTimeMs = 0): Change {
  return { key: of.key, before: afterOf(of), events: [], deleteTimeMs };
}

export function afterOf({ after }: Change): StoredSession {
  if (after === undefined) throw new Error("the session was deleted");
  return after;
}

export function allEvents(store: Store, uid: string): Promise<Event[]> {
  return store.readEvents({ uid, first: 1, last: 0xffff_ffff, maxEvents: 10_000, maxBytes: 1e9 });
}

/** Runs housekeeping until there is nothing left to do. */
export async function maintainAll(store: Store, nowMs: number, limit = 50): Promise<void> {
  while (await store.maintain({ nowMs, limit })) {
    // Each call does a bounded piece.
  }
}

/** What a promise is rejected with; fails when it is not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("the promise was not rejected");
}

/** A change that concerns no session, but for what is added to it. */
export const withoutSession = {
  key: { namespace: NAMESPACE, sessionId: "", uid: "00000000-0000-0000-0000-000000000000" },
  events: [],
} satisfies Change;
