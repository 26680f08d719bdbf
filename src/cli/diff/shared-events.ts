import { create, equals } from "@bufbuild/protobuf";
import type { Session, SessionEvent } from "@sessiond/client";
import { EventSchema } from "@sessiond/contract";

const pageSize = 500;

/** The events of a session that were there when it was read, from a revision on. */
export async function* eventsFrom(
  session: Session,
  { first, signal }: { first: number; signal: AbortSignal },
): AsyncGenerator<SessionEvent, void, undefined> {
  const last = session.headRevision;
  const query = { first, last, includeHidden: true, pageSize, signal };
  if (first <= last) yield* session.events(query);
}

/**
 * How many events two sessions begin with together, page by page. Where one was forked from the other, or
 * both from a third, the walk begins there, if the event there is the same in both: names can be taken
 * anew by others.
 */
export async function sharedEvents(a: Session, b: Session, signal: AbortSignal): Promise<number> {
  const point = branchPoint(a, b);
  if (point > 0 && (await isSameAt(point, { a, b, signal }))) {
    return sharedFrom(point + 1, { a, b, signal });
  }
  return sharedFrom(1, { a, b, signal });
}

interface Pair {
  readonly a: Session;
  readonly b: Session;
  readonly signal: AbortSignal;
}

async function sharedFrom(first: number, { a, b, signal }: Pair): Promise<number> {
  const others = eventsFrom(b, { first, signal });
  let shared = first - 1;
  try {
    for await (const event of eventsFrom(a, { first, signal })) {
      const other = await others.next();
      if (other.done || !isSame(event, other.value)) break;
      shared = event.revision;
    }
  } finally {
    await others.return();
  }
  return shared;
}

async function isSameAt(revision: number, { a, b, signal }: Pair): Promise<boolean> {
  const query = { first: revision, last: revision, includeHidden: true, signal };
  const at = async (session: Session) => (await session.events(query)).items[0];
  const [one, other] = await Promise.all([at(a), at(b)]);
  return one !== undefined && other !== undefined && isSame(one, other);
}

/** Newest revision that two sessions share by what they say of their parents; 0 when they say nothing. */
function branchPoint(a: Session, b: Session): number {
  const [ofA, ofB] = [a.parent, b.parent];
  const heads = [a.headRevision, b.headRevision];
  if (a.uid === b.uid) return Math.min(...heads);
  if (ofA?.sessionId === b.sessionId) return Math.min(ofA.revision, ...heads);
  if (ofB?.sessionId === a.sessionId) return Math.min(ofB.revision, ...heads);
  if (ofA === undefined || ofA.sessionId !== ofB?.sessionId) return 0;
  return Math.min(ofA.revision, ofB.revision, ...heads);
}

/** Protection is of the session as it is by now, and says nothing about what happened. */
function isSame(one: SessionEvent, other: SessionEvent): boolean {
  return equals(EventSchema, unprotected(one), unprotected(other));
}

function unprotected({ message }: SessionEvent) {
  if (message.protection === undefined) return message;
  const { protection: _, ...rest } = message;
  return create(EventSchema, rest);
}
