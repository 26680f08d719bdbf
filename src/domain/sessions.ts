import { create, isFieldSet } from "@bufbuild/protobuf";
import {
  type CreateSessionRequest,
  CreateSessionRequestSchema,
  type CreateSessionResponse,
  CreateSessionResponseSchema,
  type DeleteSessionRequest,
  DeleteSessionRequestSchema,
  type DeleteSessionResponse,
  DeleteSessionResponseSchema,
  type EndSessionRequest,
  EndSessionRequestSchema,
  type EndSessionResponse,
  EndSessionResponseSchema,
  type GetSessionRequest,
  GetSessionRequestSchema,
  IfExists,
  type Session,
  SessionEndSchema,
  SessionSchema,
  SessionState,
  type TraceContext,
  type UpdateSessionRequest,
  UpdateSessionRequestSchema,
  type UpdateSessionResponse,
  UpdateSessionResponseSchema,
} from "@sessiond/contract";
import {
  EtagMismatchError,
  InvalidFieldError,
  NotSupportedError,
  SessionAlreadyExistsError,
} from "../errors.ts";
import type { Clock, Ids } from "../ids.ts";
import type { Change, Store, StoredSession } from "../store/store.ts";
import { remembered, withoutEffect } from "./answers.ts";
import type { Closings } from "./children/closings.ts";
import { Parent } from "./children/parent.ts";
import type { Removals } from "./children/removals.ts";
import { type InstructionCounts, instructionCounts } from "./context/instruction-sizes.ts";
import { changesEncoding, type Reencoded, type Reencoding } from "./context/reencoding.ts";
import { stateOf } from "./context/state.ts";
import { createSession, updateSession } from "./decisions.ts";
import { newestRewind } from "./history/visible.ts";
import { endSession } from "./lifecycle/end.ts";
import { asOf } from "./lifecycle/lapse.ts";
import { keepEnded } from "./lifecycle/renew.ts";
import { hasEnded } from "./lifecycle/states.ts";
import { namespaceOf } from "./names.ts";
import type { Protection } from "./protection/protection.ts";
import type { Admit, Quotas } from "./quotas/quotas.ts";
import type { Requests } from "./requests.ts";
import type { SessionCell, SessionCells } from "./session-cells.ts";
import type { SessionDefaults } from "./session-defaults.ts";
import { checkSessionSize } from "./sizes.ts";
import type { TokenCounter } from "./tokens/counter.ts";
import { validate } from "./validation/validate.ts";
import { currentView, sessionView } from "./views.ts";

/** States a caller may end a session in. */
const callerEnds: ReadonlySet<SessionState> = new Set([
  SessionState.COMPLETED,
  SessionState.FAILED,
  SessionState.CANCELLED,
  SessionState.EXPIRED,
]);

/** Fields of a session that callers change, by their names in the contract. */
const callerFields: ReadonlySet<string> = new Set([
  "agent_id",
  "user_id",
  "title",
  "goal",
  "context",
  "system_instructions",
  "tools",
  "model",
  "labels",
  "metadata",
  "limits",
  "expiry",
  "context_policy",
  "fingerprint",
  "health_policy",
]);

/** Creates, reads, changes, ends and deletes single sessions. */
export class Sessions {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #tokens: TokenCounter;
  readonly #reencoding: Reencoding;
  readonly #protection: Protection;
  readonly #quotas: Quotas;
  readonly #closings: Closings;
  readonly #removals: Removals;
  readonly #defaults: SessionDefaults;
  readonly #clock: Clock;
  readonly #ids: Ids;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    requests: Requests;
    tokens: TokenCounter;
    reencoding: Reencoding;
    protection: Protection;
    quotas: Quotas;
    closings: Closings;
    removals: Removals;
    /** Fills in what a new session does not say. */
    defaults: SessionDefaults;
    clock: Clock;
    ids: Ids;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#tokens = args.tokens;
    this.#reencoding = args.reencoding;
    this.#protection = args.protection;
    this.#quotas = args.quotas;
    this.#closings = args.closings;
    this.#removals = args.removals;
    this.#defaults = args.defaults;
    this.#clock = args.clock;
    this.#ids = args.ids;
  }

  /** Errors: as documented at the rpc; so for all methods here. */
  async create(
    request: CreateSessionRequest,
    trace?: TraceContext,
  ): Promise<CreateSessionResponse> {
    validate(CreateSessionRequestSchema, request);
    const fields = this.#defaults(request.session ?? create(SessionSchema));
    if (fields.ephemeral && this.#store.capabilities.engine !== "memory") {
      throw new NotSupportedError(
        "ephemeral sessions need a server started with --store memory; leave session.ephemeral out",
      );
    }
    await this.#protection.check(fields);
    const nowMs = this.#clock();
    const name = {
      namespace: namespaceOf(fields.namespace),
      // A generated name belongs to one request id, so that a retry finds the first answer.
      sessionId: fields.sessionId || (request.requestId === "" ? this.#ids.sessionId(nowMs) : ""),
    };
    return this.#requests.once(
      {
        ...name,
        schema: CreateSessionRequestSchema,
        message: request,
        responseSchema: CreateSessionResponseSchema,
      },
      (remember) => {
        const sessionId = name.sessionId || this.#ids.sessionId(nowMs);
        const session: Session = { ...fields, namespace: name.namespace, sessionId };
        const parentId = parentIdOf(session, request);
        const creation = { request, session, nowMs, remember, trace };
        const { namespace } = name;
        return this.#quotas.within({ namespace, sessionId, spare: parentId }, (admit) => {
          if (parentId === "") return this.#create({ ...creation, admit });
          const parentName = { namespace, sessionId: parentId };
          return this.#cells.use(parentName, (parentCell) =>
            this.#create({ ...creation, admit, parent: new Parent(parentCell, this.#closings) }),
          );
        });
      },
    );
  }

  #create({ request, session, parent, nowMs, admit, remember, trace }: Creation) {
    return this.#cells.use(session, async (cell) => {
      const { deferredStart } = request;
      const instructions = await instructionCounts(this.#tokens, session);
      const decide = () => {
        const uid = this.#ids.uid();
        const from = parent?.forChild(nowMs);
        const fields = { ...session, ...(from && { parent: from }) };
        const outcome = createSession(fields, { uid, nowMs, deferredStart, instructions, trace });
        checkSessionSize(outcome.after.session);
        admit(cell.latest, outcome.after);
        const response = create(CreateSessionResponseSchema, {
          session: sessionView(outcome.after),
          created: true,
        });
        return { outcome, response, parentUid: from?.uid };
      };
      const commit = async ({ outcome, response, parentUid }: ReturnType<typeof decide>) => {
        const done = cell.commit({ ...outcome, ...remembered(remember(response)) });
        await (parentUid === undefined ? done : this.#closings.adding(parentUid, done));
        return response;
      };
      for (;;) {
        // Nothing waits between here and the commit, unless somebody looks again before it.
        while (parent?.isReady === false) await parent.ready();
        if (cell.latest === undefined) return commit(decide());
        const found = foundAnswer(asOf(cell.latest, nowMs), request);
        if (found !== undefined) {
          parent?.check(cell.latest.session);
          return withoutEffect(cell, found, remember(found));
        }
        if (request.ifExists !== IfExists.RENEW) {
          await cell.settled();
          throw new SessionAlreadyExistsError(cell.name);
        }
        await this.#closings.opened(cell.latest.session.uid);
        // Decided first: what is refused must not leave the name without a session.
        const fresh = decide();
        const make = () => commit(fresh);
        const canMake = (uid: string) =>
          this.#closings.isOpen(uid) &&
          (parent === undefined || (parent.isReady && parent.uid === fresh.parentUid));
        const made = await keepEnded({ cells: this.#cells, cell, nowMs, canMake, make });
        if (made !== undefined) return made;
      }
    });
  }

  async get(request: GetSessionRequest): Promise<Session> {
    validate(GetSessionRequestSchema, request);
    return this.#cells.use(
      { namespace: namespaceOf(request.namespace), sessionId: request.sessionId },
      (cell) => currentView(cell.requireDurable(), this.#clock()),
    );
  }

  async update(request: UpdateSessionRequest): Promise<UpdateSessionResponse> {
    const sent = request.session ?? create(SessionSchema);
    const paths = request.updateMask?.paths ?? [];
    const changes = callerChanges(sent, paths);
    const { namespace, sessionId } = sent;
    // Of a session that was read before, what the caller may not change is ignored, not refused.
    const session: Session = { ...create(SessionSchema), ...changes, namespace, sessionId };
    if (sent.$unknown !== undefined) session.$unknown = sent.$unknown;
    const checked: UpdateSessionRequest = { ...request, session };
    validate(UpdateSessionRequestSchema, checked);
    await this.#protection.check(session);
    if (sessionId === "") {
      throw new InvalidFieldError({
        field: "session.session_id",
        description: "is required; set it",
      });
    }
    if (!/^\d{0,15}$/.test(sent.etag)) {
      throw new InvalidFieldError({
        field: "session.etag",
        description: "is none that this server gave; get the session and send its etag",
      });
    }
    const name = { namespace: namespaceOf(namespace), sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: UpdateSessionRequestSchema,
        message: request,
        responseSchema: UpdateSessionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          for (;;) {
            const sizes = await this.#sizesAfter(cell, changes);
            // Nothing waits between here and the commit.
            const before = cell.requireLatest();
            if (!isFresh(sizes, before)) continue;
            const nowMs = this.#clock();
            const actual = asOf(before, nowMs).session.etag;
            if (sent.etag !== "" && sent.etag !== actual) {
              throw new EtagMismatchError({ sessionId, expected: sent.etag, actual });
            }
            const outcome = updateSession(before, changes, nowMs, sizes);
            checkSessionSize(outcome.after.session);
            const response = create(UpdateSessionResponseSchema, {
              session: sessionView(outcome.after),
            });
            await cell.commit({ ...outcome, ...remembered(remember(response)) });
            return response;
          }
        }),
    );
  }

  /**
   * Tokens that the changes lead to: of the instructions, and of the window if it is counted otherwise
   * then. Errors: SessionNotFoundError, NotSupportedError, DataLossError.
   */
  async #sizesAfter(cell: SessionCell, changes: Partial<Session>): Promise<SizesAfter> {
    const { session } = cell.requireLatest();
    const after = { ...session, ...changes };
    const instructions = await instructionCounts(this.#tokens, after);
    if (!changesEncoding(session, after)) return { session, instructions };
    // Only events that are durable can be read.
    await cell.settled();
    const stored = cell.requireDurable();
    const window = await this.#reencoding.measure(stored, after, instructions);
    const { hidden } = stateOf(stored);
    return { session, instructions, window, rewind: newestRewind(hidden) };
  }

  async end(request: EndSessionRequest, trace?: TraceContext): Promise<EndSessionResponse> {
    validate(EndSessionRequestSchema, request);
    const state = request.state || SessionState.COMPLETED;
    if (!callerEnds.has(state)) {
      throw new InvalidFieldError({
        field: "state",
        description: "must be COMPLETED, FAILED, CANCELLED or EXPIRED",
      });
    }
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: EndSessionRequestSchema,
        message: request,
        responseSchema: EndSessionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          const before = cell.requireLatest();
          const nowMs = this.#clock();
          const end = request.end ?? create(SessionEndSchema);
          const outcome = endSession(before, { state, end, trace }, nowMs);
          if (outcome === undefined) {
            const session = currentView(before, nowMs);
            const response = create(EndSessionResponseSchema, { session });
            return withoutEffect(cell, response, remember(response));
          }
          const response = create(EndSessionResponseSchema, {
            session: sessionView(outcome.after),
            ended: true,
          });
          await cell.commit({ ...outcome, ...remembered(remember(response)) });
          return response;
        }),
    );
  }

  async delete(request: DeleteSessionRequest): Promise<DeleteSessionResponse> {
    validate(DeleteSessionRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: DeleteSessionRequestSchema,
        message: request,
        responseSchema: DeleteSessionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          const response = create(DeleteSessionResponseSchema, { deleted: true });
          const onChild = () => {
            response.childCount += 1;
          };
          const answer = () => remember(response);
          for (;;) {
            if (cell.latest === undefined && request.allowMissing) {
              const missing = create(DeleteSessionResponseSchema);
              return withoutEffect(cell, missing, remember(missing));
            }
            cell.requireLatest();
            // Deleted by somebody else, while its children went: look again.
            if (await this.#removals.remove(cell, { onChild, request: answer })) return response;
          }
        }),
    );
  }
}

/** What one creation is about. */
interface Creation {
  readonly request: CreateSessionRequest;
  readonly session: Session;
  /** Whose child the session is to be. Absent: nobody's. */
  readonly parent?: Parent;
  readonly nowMs: number;
  readonly admit: Admit;
  readonly remember: (response: CreateSessionResponse) => Change["request"];
  readonly trace: TraceContext | undefined;
}

/** Errors: InvalidFieldError for a session that would be its own parent. */
function parentIdOf({ sessionId }: Session, { parentSessionId }: CreateSessionRequest): string {
  if (parentSessionId !== sessionId) return parentSessionId;
  throw new InvalidFieldError({
    field: "parent_session_id",
    description: "is the session itself; name another session, or leave it out",
  });
}

/** What an update leads to, and what it was worked out for. */
interface SizesAfter {
  readonly session: Session;
  readonly instructions: InstructionCounts;
  /** Present when the window is counted otherwise then, with the newest rewind. */
  readonly window?: Reencoded;
  readonly rewind?: number;
}

/** Nobody has changed, compacted or rewound the session since. */
function isFresh({ session, window, rewind }: SizesAfter, before: StoredSession): boolean {
  if (before.session !== session) return false;
  const { compaction, hidden } = stateOf(before);
  return (
    window === undefined ||
    (window.compactionRevision === (compaction?.revision ?? 0) && rewind === newestRewind(hidden))
  );
}

/** The answer when the name is taken; undefined: the request does not take the session as it is. */
function foundAnswer(
  found: StoredSession,
  request: CreateSessionRequest,
): CreateSessionResponse | undefined {
  const isTaken =
    request.ifExists === IfExists.RETURN ||
    (request.ifExists === IfExists.RENEW && !hasEnded(found));
  if (!isTaken) return undefined;
  const fingerprint = request.session?.fingerprint ?? "";
  return create(CreateSessionResponseSchema, {
    session: sessionView(found),
    fingerprintChanged: fingerprint !== "" && fingerprint !== found.session.fingerprint,
  });
}

/** Values for the fields of a mask, or for every set field that callers own without one. */
function callerChanges(sent: Session, paths: readonly string[]): Partial<Session> {
  for (const [index, path] of paths.entries()) {
    if (!callerFields.has(path)) {
      throw new InvalidFieldError({
        field: `update_mask.paths[${index}]`,
        description: `"${path.slice(0, 100)}" is not a field that callers change; those are ${[...callerFields].join(", ")}`,
      });
    }
  }
  const chosen = SessionSchema.fields.filter((field) =>
    paths.length > 0
      ? paths.includes(field.name)
      : callerFields.has(field.name) && isFieldSet(sent, field),
  );
  return Object.fromEntries(
    chosen.map((field) => [field.localName, sent[field.localName as keyof Session]]),
  );
}
