import { setImmediate as nextTurn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type ListSessionsRequest,
  ListSessionsRequestSchema,
  type ListSessionsResponse,
  ListSessionsResponseSchema,
  type Session,
  SessionOrder,
  SessionSchema,
  SessionState,
} from "@sessiond/contract";
import { decodePageToken, encodePageToken, scopeOf } from "../cursor.ts";
import { PageTokenInvalidError } from "../errors.ts";
import type { Clock } from "../ids.ts";
import { limits } from "../limits.ts";
import type { SessionIndex, SessionPosition, Store, StoredSession } from "../store/store.ts";
import { asOf } from "./lifecycle/lapse.ts";
import { namespaceOf } from "./names.ts";
import { pageSizeOf } from "./pages.ts";
import type { SessionCells } from "./session-cells.ts";
import { validate } from "./validation/validate.ts";
import { sessionView } from "./views.ts";

/** Most sessions read at once from the store; other calls get their turn in between. */
const chunk = 32;
/** Sessions looked at for one page; a page may be short, even empty, when few of them match. */
const scannedPerPage = 5_000;

/** Lists sessions by the narrowest index there is, and filters what it cannot. */
export class SessionList {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #clock: Clock;

  constructor({ store, cells, clock }: { store: Store; cells: SessionCells; clock: Clock }) {
    this.#store = store;
    this.#cells = cells;
    this.#clock = clock;
  }

  /** Errors: as documented at the rpc. */
  async list(request: ListSessionsRequest): Promise<ListSessionsResponse> {
    validate(ListSessionsRequestSchema, request);
    const namespace = namespaceOf(request.namespace);
    const { state, agentId, userId, labels, order, pageToken } = request;
    const ordered = Object.keys(labels)
      .sort()
      .map((key) => [key, labels[key]]);
    const filters = JSON.stringify([state, agentId, userId, ordered, order]);
    const scope = scopeOf(this.#store.capabilities.storeId, namespace, filters);
    const pageSize = pageSizeOf(request.pageSize);

    let after = pageToken === "" ? undefined : parsePosition(decodePageToken(scope, pageToken));
    const sessions: Session[] = [];
    let bytes = 0;
    const nowMs = this.#clock();
    const index = await this.#indexFor(request, nowMs);
    for (let scanned = 0; scanned < scannedPerPage; ) {
      const limit = Math.min(chunk, pageSize - sessions.length);
      const found = await this.#store.listSessions({
        namespace,
        index,
        reverse: order !== SessionOrder.OLDEST_FIRST,
        limit,
        ...(after && { after }),
      });
      for (const stored of found) {
        const durable = this.#cells.durable(stored);
        const current = durable && asOf(durable, nowMs);
        if (current !== undefined && matches(current, request)) {
          const session = sessionView(current);
          bytes += toBinary(SessionSchema, session).length;
          if (sessions.length > 0 && bytes > limits.pageBytes) return page(sessions, scope, after);
          sessions.push(session);
        }
        after = positionOf(stored);
        if (sessions.length === pageSize) return page(sessions, scope, after);
      }
      if (found.length < limit) return page(sessions, scope, undefined);
      scanned += limit;
      await nextTurn();
    }
    return page(sessions, scope, after);
  }

  async #indexFor(request: ListSessionsRequest, nowMs: number): Promise<SessionIndex> {
    const { state, agentId, userId } = request;
    if (userId !== "") return { by: "user", value: userId };
    if (agentId !== "") return { by: "agent", value: agentId };
    if (state === SessionState.UNSPECIFIED) return { by: "all" };
    if (timedStates.has(state)) {
      const overdue = await this.#store.dueDeadlines({ nowMs, limit: 1 });
      if (overdue.length > 0) return { by: "all" };
    }
    return { by: "state", value: state };
  }
}

function page(
  sessions: Session[],
  scope: Uint8Array,
  next: SessionPosition | undefined,
): ListSessionsResponse {
  return create(ListSessionsResponseSchema, {
    sessions,
    nextPageToken: next ? encodePageToken(scope, `${next.createTimeMs} ${next.sessionId}`) : "",
  });
}

/** Errors: PageTokenInvalidError for one made up by a caller. */
function parsePosition(text: string): SessionPosition {
  const [, time, sessionId] = /^(\d{1,15}) (.+)$/su.exec(text) ?? [];
  if (time === undefined || sessionId === undefined) throw new PageTokenInvalidError("malformed");
  return { createTimeMs: Number(time), sessionId };
}

/** The place behind a session in a list. */
export function positionOf({ session }: StoredSession): SessionPosition {
  const createTimeMs = session.createTime ? timestampMs(session.createTime) : 0;
  return { createTimeMs, sessionId: session.sessionId };
}

/** States that a session is in by the time alone, before the store knows. */
const timedStates: ReadonlySet<SessionState> = new Set([
  SessionState.TIMED_OUT,
  SessionState.EXPIRED,
]);

function matches({ session }: StoredSession, request: ListSessionsRequest): boolean {
  const { state, agentId, userId, labels } = request;
  return (
    (state === SessionState.UNSPECIFIED || session.state === state) &&
    (agentId === "" || session.agentId === agentId) &&
    (userId === "" || session.userId === userId) &&
    Object.entries(labels).every(([key, value]) => session.labels[key] === value)
  );
}
