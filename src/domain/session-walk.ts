import { timestampMs } from "@bufbuild/protobuf/wkt";
import { PageTokenInvalidError } from "../errors.ts";
import type { SessionPosition, SessionQuery, Store, StoredSession } from "../store/store.ts";
import { asOf } from "./lifecycle/lapse.ts";
import type { SessionCells } from "./session-cells.ts";

/** Most sessions read at once from the store; other calls get their turn in between. */
export const walkChunk = 32;

/** A session that a walk came by. */
export interface Seen {
  /** Its place in the index; the walk goes on behind it. */
  readonly position: SessionPosition;
  /** What a reader may see of it now. Undefined: it is not yet, or no more, there. */
  readonly current: StoredSession | undefined;
}

/** The next sessions of an index; fewer than `limit`: it has no more. */
export async function walk(args: {
  store: Store;
  cells: SessionCells;
  query: SessionQuery;
  nowMs: number;
}): Promise<Seen[]> {
  const { store, cells, query, nowMs } = args;
  const found = await store.listSessions(query);
  return found.map((stored) => {
    const durable = cells.durable(stored);
    return { position: positionOf(stored), current: durable && asOf(durable, nowMs) };
  });
}

/** A place as page tokens carry it. */
export function positionText({ createTimeMs, sessionId }: SessionPosition): string {
  return `${createTimeMs} ${sessionId}`;
}

/** Errors: PageTokenInvalidError for one made up by a caller. */
export function parsePosition(text: string): SessionPosition {
  const [, time, sessionId] = /^(\d{1,15}) (.+)$/su.exec(text) ?? [];
  if (time === undefined || sessionId === undefined) throw new PageTokenInvalidError("malformed");
  return { createTimeMs: Number(time), sessionId };
}

/** Its place in the lists of sessions. */
export function positionOf({ session }: StoredSession): SessionPosition {
  const createTimeMs = session.createTime ? timestampMs(session.createTime) : 0;
  return { createTimeMs, sessionId: session.sessionId };
}
