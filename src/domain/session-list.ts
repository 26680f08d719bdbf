import { create, toBinary } from "@bufbuild/protobuf";
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
import type { Clock } from "../ids.ts";
import { limits } from "../limits.ts";
import { parentUidOf } from "../store/indexes.ts";
import type { SessionIndex, SessionPosition, Store, StoredSession } from "../store/store.ts";
import { filterOf } from "./filter/filter-of.ts";
import { namespaceOf } from "./names.ts";
import { pageSizeOf } from "./pages.ts";
import type { SessionCells, SessionName } from "./session-cells.ts";
import { parsePosition, positionText, walk, walkChunk } from "./session-walk.ts";
import { Turns } from "./turns.ts";
import { validate } from "./validation/validate.ts";
import { sessionView } from "./views.ts";

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
    const { state, agentId, userId, labels, order, filter, parentSessionId, pageToken } = request;
    const ordered = Object.keys(labels)
      .sort()
      .map((key) => [key, labels[key]]);
    const parentUid = await this.#uidOf({ namespace, sessionId: parentSessionId });
    const all = [state, agentId, userId, ordered, order, filter];
    // Tokens of lists without a parent stay what they were.
    const filters = JSON.stringify(parentUid === undefined ? all : [...all, parentUid]);
    const scope = scopeOf(this.#store.capabilities.storeId, namespace, filters);
    const pageSize = pageSizeOf(request.pageSize);

    let after = pageToken === "" ? undefined : parsePosition(decodePageToken(scope, pageToken));
    const sessions: Session[] = [];
    let bytes = 0;
    const passes = await filterOf(filter);
    const turns = new Turns();
    const nowMs = this.#clock();
    const index = await this.#indexFor(request, { parentUid, nowMs });
    for (let scanned = 0; scanned < scannedPerPage; ) {
      const limit = Math.min(walkChunk, pageSize - sessions.length);
      const reverse = order !== SessionOrder.OLDEST_FIRST;
      const query = { namespace, index, reverse, limit, ...(after && { after }) };
      const parts = { store: this.#store, cells: this.#cells };
      const found = await walk({ ...parts, query, nowMs });
      for (const { position, current } of found) {
        await turns.yield();
        if (
          current !== undefined &&
          matches(current, request) &&
          (parentUid === undefined || parentUidOf(current.session) === parentUid) &&
          passes({ stored: current, nowMs })
        ) {
          const session = sessionView(current);
          bytes += toBinary(SessionSchema, session).length;
          if (sessions.length > 0 && bytes > limits.pageBytes) return page(sessions, scope, after);
          sessions.push(session);
        }
        after = position;
        if (sessions.length === pageSize || turns.isSpent) return page(sessions, scope, after);
      }
      if (found.length < limit) return page(sessions, scope, undefined);
      scanned += limit;
    }
    return page(sessions, scope, after);
  }

  /** The uid of the session that has a name; undefined for no name. Errors: SessionNotFoundError. */
  async #uidOf(name: SessionName): Promise<string | undefined> {
    if (name.sessionId === "") return undefined;
    return this.#cells.use(name, (cell) => cell.requireDurable().session.uid);
  }

  async #indexFor(
    request: ListSessionsRequest,
    { parentUid, nowMs }: { parentUid: string | undefined; nowMs: number },
  ): Promise<SessionIndex> {
    const { state, agentId, userId } = request;
    if (parentUid !== undefined) return { by: "parent", value: parentUid };
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
    nextPageToken: next ? encodePageToken(scope, positionText(next)) : "",
  });
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
