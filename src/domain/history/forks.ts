import { create, isFieldSet } from "@bufbuild/protobuf";
import {
  type ForkSessionRequest,
  ForkSessionRequestSchema,
  type ForkSessionResponse,
  ForkSessionResponseSchema,
  type Session,
  SessionSchema,
  type TraceContext,
} from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import {
  InvalidFieldError,
  RevisionOutOfRangeError,
  SessionAlreadyExistsError,
  SessionNotFoundError,
} from "../../errors.ts";
import type { Clock, Ids } from "../../ids.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { remembered } from "../answers.ts";
import { instructionCounts } from "../context/instruction-sizes.ts";
import { changesEncoding, type Reencoding } from "../context/reencoding.ts";
import { namespaceOf } from "../names.ts";
import type { Protection } from "../protection/protection.ts";
import type { Quotas } from "../quotas/quotas.ts";
import type { Requests } from "../requests.ts";
import type { SessionCells } from "../session-cells.ts";
import { filled } from "../session-defaults.ts";
import { checkSessionSize } from "../sizes.ts";
import type { StateScopes } from "../state/scopes.ts";
import type { TokenCounter } from "../tokens/counter.ts";
import { validate } from "../validation/validate.ts";
import { sessionView } from "../views.ts";
import { flattened } from "./flatten.ts";
import { forkSession } from "./fork.ts";
import { headAt } from "./replay.ts";
import { stateAt } from "./state-at.ts";

/** Fields of a session that a fork does not take over. */
const notInherited: ReadonlySet<string> = new Set([
  "session_id",
  "uid",
  "state",
  "end",
  "parent",
  "create_time",
  "update_time",
  "last_activity_time",
  "start_time",
  "end_time",
  "expire_time",
  "head_revision",
  "metrics",
  "etag",
  "reopen_time",
]);

/** Forks sessions. */
export class Forks {
  readonly #store: Store;
  readonly #from: { store: Store; scopes: StateScopes };
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #tokens: TokenCounter;
  readonly #protection: Protection;
  readonly #quotas: Quotas;
  readonly #reencoding: Reencoding;
  readonly #clock: Clock;
  readonly #ids: Ids;

  constructor(args: {
    store: Store;
    scopes: StateScopes;
    cells: SessionCells;
    requests: Requests;
    tokens: TokenCounter;
    protection: Protection;
    quotas: Quotas;
    reencoding: Reencoding;
    clock: Clock;
    ids: Ids;
  }) {
    this.#store = args.store;
    this.#from = { store: args.store, scopes: args.scopes };
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#tokens = args.tokens;
    this.#protection = args.protection;
    this.#quotas = args.quotas;
    this.#reencoding = args.reencoding;
    this.#clock = args.clock;
    this.#ids = args.ids;
  }

  /** Errors: as documented at the rpc. */
  async fork(request: ForkSessionRequest, trace?: TraceContext): Promise<ForkSessionResponse> {
    validate(ForkSessionRequestSchema, request);
    const overrides = request.session ?? create(SessionSchema);
    if (overrides.namespace !== "" || overrides.sessionId !== "") {
      throw new InvalidFieldError({
        field: "session",
        description:
          "must not name the fork; leave its namespace and session_id out, and set new_session_id",
      });
    }
    await this.#protection.check(overrides);
    const namespace = namespaceOf(request.namespace);
    const parentName = { namespace, sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...parentName,
        schema: ForkSessionRequestSchema,
        message: request,
        responseSchema: ForkSessionResponseSchema,
      },
      (remember) => {
        const nowMs = this.#clock();
        const sessionId = request.newSessionId || this.#ids.sessionId(nowMs);
        const name = { namespace, sessionId };
        return this.#quotas.within(name, (admit) =>
          this.#cells.use(parentName, (parentCell) =>
            this.#cells.use(name, async (cell) => {
              parentCell.requireLatest();
              await parentCell.settled();
              const parent = parentCell.requireDurable();
              const revision = request.revision || parent.head.revision;
              if (revision < 1 || revision > parent.head.revision) {
                const headRevision = parent.head.revision;
                throw new RevisionOutOfRangeError({ ...parentName, revision, headRevision });
              }
              const fields = { ...forkFields(overrides, parent.session), ...name };
              const head = await this.#headAt(parent, revision, fields);
              const state = await stateAt(this.#from, parent, head.stateRevision);
              const instructions = await instructionCounts(this.#tokens, fields);
              const args = { uid: this.#ids.uid(), nowMs, instructions, trace };
              const fork = forkSession(parent, head, fields, args);
              const outcome = await flattened(this.#store, fork);
              checkSessionSize(outcome.after.session);
              // Nothing waits between here and the commit, so that it comes before a deletion.
              if (parentCell.latest?.session.uid !== parent.session.uid) {
                throw new SessionNotFoundError(parentName);
              }
              if (cell.latest !== undefined) {
                await cell.settled();
                throw new SessionAlreadyExistsError(cell.name);
              }
              admit(cell.latest, outcome.after);
              const response = create(ForkSessionResponseSchema, {
                session: sessionView(outcome.after),
              });
              const scope = { of: "session", namespace, uid: args.uid } as const;
              const record = state && { ...state, version: this.#ids.uid() };
              await cell.commit({
                ...outcome,
                ...(record && { states: [{ scope, record }] }),
                ...remembered(remember(response)),
              });
              return response;
            }),
          ),
        );
      },
    );
  }

  /** The head of a parent at a revision, in the encoding of the fork. */
  async #headAt(parent: StoredSession, revision: number, fork: Session): Promise<SessionHead> {
    const head = await headAt(this.#store, parent, revision);
    const isOwn =
      revision >= parent.head.reencodedRevision && !changesEncoding(parent.session, fork);
    if (isOwn) return head;
    const { uid } = parent.session;
    const { inherited } = parent.head;
    return this.#reencoding.recounted({
      session: { ...fork, uid },
      head: { ...head, inherited },
    });
  }
}

/** What a fork has: the parent's fields, but where the request says otherwise. */
function forkFields(overrides: Session, parent: Session): Session {
  const kept = SessionSchema.fields.filter(
    (field) => !notInherited.has(field.name) && isFieldSet(parent, field),
  );
  const known = Object.fromEntries(
    kept.map((field) => [field.localName, parent[field.localName as keyof Session]]),
  );
  return filled(SessionSchema, overrides, create(SessionSchema, known));
}
