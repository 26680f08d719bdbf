import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import {
  type AppendEventsRequest,
  type CreateSessionRequest,
  type DeleteSessionRequest,
  Durability,
  type EndSessionRequest,
  type Event,
  EventOrder,
  EventSchema,
  IfExists,
  type ListEventsRequest,
  type ListSessionsRequest,
  type Session,
  SessionOrder,
  SessionSchema,
  SessionState,
  type UpdateSessionRequest,
} from "@sessiond/contract";
import { failure } from "./failure.ts";

/** One entry of a namespace's log: a batch of events, or the deletion of a session. */
export interface Entry {
  readonly namespace: string;
  readonly sessionId: string;
  readonly sessionUid: string;
  readonly events: readonly Event[];
  readonly deleted?: boolean;
  /** The events cannot be read. */
  readonly damaged?: boolean;
}

/** Sessions and logs in plain arrays: as much of the contract as the client can tell. */
export class FakeStore {
  readonly sessions: Session[] = [];
  readonly log: Entry[] = [];
  readonly #answers = new Map<string, unknown>();
  readonly #listeners = new Set<() => void>();

  createSession(request: CreateSessionRequest) {
    return this.#once(request.requestId, () => {
      const wanted = request.session ?? create(SessionSchema);
      const { namespace, sessionId, fingerprint } = wanted;
      const found = this.#find({ namespace, sessionId });
      if (found !== undefined && request.ifExists === IfExists.RETURN) {
        const fingerprintChanged = found.fingerprint !== fingerprint;
        return { session: { ...found }, created: false, fingerprintChanged };
      }
      if (found !== undefined) {
        throw failure({
          code: status.ALREADY_EXISTS,
          reason: "SESSION_ALREADY_EXISTS",
          metadata: { namespace, session_id: sessionId },
        });
      }
      const session = create(SessionSchema, {
        ...wanted,
        sessionId: sessionId || `session-${this.sessions.length + 1}`,
        uid: crypto.randomUUID(),
        state: SessionState.ACTIVE,
        createTime: timestampNow(),
        etag: "1",
      });
      this.sessions.push(session);
      this.#commit(session, [{ payload: { case: "sessionStarted", value: {} } }]);
      return { session: { ...session }, created: true };
    });
  }

  getSession(name: { namespace: string; sessionId: string }) {
    return { session: { ...this.session(name) } };
  }

  listSessions(request: ListSessionsRequest) {
    const matching = this.sessions.filter(
      (session) =>
        session.namespace === request.namespace &&
        (request.state === SessionState.UNSPECIFIED || session.state === request.state) &&
        (request.agentId === "" || session.agentId === request.agentId),
    );
    if (request.order !== SessionOrder.OLDEST_FIRST) matching.reverse();
    const { items, nextPageToken } = page(matching, request);
    return { sessions: items, nextPageToken };
  }

  updateSession(request: UpdateSessionRequest) {
    return this.#once(request.requestId, () => {
      const { namespace = "", sessionId = "", etag = "" } = request.session ?? {};
      const session = this.session({ namespace, sessionId });
      if (etag !== "" && etag !== session.etag) {
        throw failure({
          code: status.ABORTED,
          reason: "ETAG_MISMATCH",
          metadata: { session_id: sessionId, expected: etag, actual: session.etag },
        });
      }
      const paths = request.updateMask?.paths ?? [];
      if (paths.includes("title")) session.title = request.session?.title ?? "";
      if (paths.includes("agent_id")) session.agentId = request.session?.agentId ?? "";
      session.etag = String(Number(session.etag) + 1);
      return { session: { ...session } };
    });
  }

  endSession(request: EndSessionRequest) {
    return this.#once(request.requestId, () => {
      const session = this.session(request);
      const ended = session.state === SessionState.ACTIVE;
      if (ended) {
        this.#commit(session, [
          { payload: { case: "sessionEnded", value: { state: request.state } } },
        ]);
        session.state = request.state;
        if (request.end !== undefined) session.end = request.end;
      }
      return { session: { ...session }, ended };
    });
  }

  deleteSession(request: DeleteSessionRequest) {
    return this.#once(request.requestId, () => {
      if (request.allowMissing && this.#find(request) === undefined) return { deleted: false };
      const session = this.session(request);
      this.sessions.splice(this.sessions.indexOf(session), 1);
      const { namespace, sessionId, uid } = session;
      this.log.push({ namespace, sessionId, sessionUid: uid, events: [], deleted: true });
      this.#wake();
      return { deleted: true };
    });
  }

  appendEvents(request: AppendEventsRequest) {
    return this.#once(request.requestId, () => {
      const session = this.session(request);
      const { sessionId, expectedRevision } = request;
      if (session.state !== SessionState.ACTIVE) {
        const metadata = { session_id: sessionId, state: "COMPLETED" };
        throw failure({ code: status.FAILED_PRECONDITION, reason: "SESSION_ENDED", metadata });
      }
      if (expectedRevision !== undefined && expectedRevision !== session.headRevision) {
        throw failure({
          code: status.ABORTED,
          reason: "REVISION_CONFLICT",
          metadata: {
            session_id: sessionId,
            expected: String(expectedRevision),
            actual: String(session.headRevision),
          },
        });
      }
      const events = this.#commit(session, request.events);
      return {
        sessionUid: session.uid,
        events: events.map(({ revision }) => ({ revision })),
        headRevision: session.headRevision,
        durability: Durability.SYNCED,
      };
    });
  }

  listEvents(request: ListEventsRequest) {
    const { uid } = this.session(request);
    const events = this.eventsOf(uid).filter(
      ({ revision }) =>
        revision >= request.firstRevision &&
        revision <= (request.lastRevision || Number.POSITIVE_INFINITY),
    );
    if (request.order === EventOrder.NEWEST_FIRST) events.reverse();
    const { items, nextPageToken } = page(events, request);
    return { events: items, nextPageToken };
  }

  session(name: { namespace: string; sessionId: string }): Session {
    const found = this.#find(name);
    if (found !== undefined) return found;
    throw failure({
      code: status.NOT_FOUND,
      reason: "SESSION_NOT_FOUND",
      message: `no session "${name.sessionId}" in namespace "${name.namespace}"`,
      metadata: { namespace: name.namespace, session_id: name.sessionId },
    });
  }

  eventsOf(uid: string): Event[] {
    return this.log.filter(({ sessionUid }) => sessionUid === uid).flatMap(({ events }) => events);
  }

  /** Resolves at the next commit, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#listeners.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#listeners.add(wake);
      signal.addEventListener("abort", wake);
      if (signal.aborted) wake();
    });
  }

  #find({ namespace, sessionId }: { namespace: string; sessionId: string }) {
    return this.sessions.find(
      (session) => session.namespace === namespace && session.sessionId === sessionId,
    );
  }

  #once<T>(requestId: string, apply: () => T): T {
    const known = this.#answers.get(requestId);
    if (known !== undefined) return known as T;
    const answer = apply();
    if (requestId !== "") this.#answers.set(requestId, answer);
    return answer;
  }

  #commit(session: Session, inits: readonly MessageInitShape<typeof EventSchema>[]): Event[] {
    const events = inits.map((init, index) =>
      create(EventSchema, {
        ...init,
        revision: session.headRevision + 1 + index,
        createTime: timestampNow(),
      }),
    );
    session.headRevision += events.length;
    const { namespace, sessionId, uid } = session;
    this.log.push({ namespace, sessionId, sessionUid: uid, events });
    this.#wake();
    return events;
  }

  #wake(): void {
    for (const listener of this.#listeners) listener();
  }
}

function page<T>(items: readonly T[], query: { pageSize: number; pageToken: string }) {
  const begin = Number(query.pageToken || 0);
  const end = begin + (query.pageSize || 50);
  return { items: items.slice(begin, end), nextPageToken: end < items.length ? String(end) : "" };
}
