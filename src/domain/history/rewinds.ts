import { create } from "@bufbuild/protobuf";
import {
  type RewindSessionRequest,
  RewindSessionRequestSchema,
  type RewindSessionResponse,
  RewindSessionResponseSchema,
} from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import {
  InvalidFieldError,
  RevisionConflictError,
  RevisionOutOfRangeError,
  RewindCrossesEndError,
} from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { remembered, withoutEffect } from "../answers.ts";
import { stateOf } from "../context/state.ts";
import { contextUsage } from "../context/usage.ts";
import { requireActive } from "../lifecycle/lapse.ts";
import { namespaceOf } from "../names.ts";
import type { Requests } from "../requests.ts";
import { checkRevision, type SessionCell, type SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { beforeGroups, headAtCut } from "./cut.ts";
import { rewindSession } from "./rewind.ts";

/** How often a rewind looks anew when others append while it reads. */
const attempts = 10;

/** Rewinds sessions. */
export class Rewinds {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #clock: Clock;

  constructor(args: { store: Store; cells: SessionCells; requests: Requests; clock: Clock }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#clock = args.clock;
  }

  /** Errors: as documented at the rpc. */
  async rewind(request: RewindSessionRequest): Promise<RewindSessionResponse> {
    validate(RewindSessionRequestSchema, request);
    const { to } = request;
    if (to.case === undefined || (to.case === "groups" && to.value === 0)) {
      throw new InvalidFieldError({
        field: to.case ?? "revision",
        description: "say how far: a revision to keep, or 1 or more groups to hide",
      });
    }
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: RewindSessionRequestSchema,
        message: request,
        responseSchema: RewindSessionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          const { before, target } = await this.#target(cell, request);
          const isNothing = target.revision === before.head.revision;
          const outcome = isNothing ? undefined : rewindSession(before, target, this.#clock());
          const response = create(RewindSessionResponseSchema, {
            revision: outcome?.after.head.revision ?? 0,
            visibleThrough: target.revision,
            contextUsage: contextUsage(outcome?.after ?? before),
          });
          if (outcome === undefined) return withoutEffect(cell, response, remember(response));
          await cell.commit({ ...outcome, ...remembered(remember(response)) });
          return response;
        }),
    );
  }

  /** The session, and its head where the rewind leads; nothing waits behind it. */
  async #target(
    cell: SessionCell,
    request: RewindSessionRequest,
  ): Promise<{ before: StoredSession; target: SessionHead }> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      checkRevision(cell, request.expectedRevision);
      requireActive(cell.requireLatest(), this.#clock());
      await cell.settled();
      const stored = cell.requireDurable();
      const target = await this.#head(stored, await this.#revision(stored, request.to));
      if (cell.latest === stored) return { before: stored, target };
    }
    const { sessionId } = cell.name;
    const actual = cell.requireLatest().head.revision;
    throw new RevisionConflictError({ sessionId, expected: actual, actual });
  }

  /** Errors: RevisionOutOfRangeError. */
  async #revision(stored: StoredSession, to: RewindSessionRequest["to"]): Promise<number> {
    if (to.case === "groups") return beforeGroups(this.#store, stored, to.value);
    const { sessionId } = stored.session;
    const { revision: headRevision } = stored.head;
    const revision = to.value ?? 0;
    if (revision < 1 || revision > headRevision) {
      throw new RevisionOutOfRangeError({ sessionId, revision, headRevision });
    }
    return revision;
  }

  /** The head where a rewind to a revision leads. Errors: RewindCrossesEndError. */
  async #head(stored: StoredSession, wanted: number): Promise<SessionHead> {
    for (let revision = wanted; ; ) {
      checkEnd(stored, revision);
      if (revision === stored.head.revision) return stored.head;
      const head = await headAtCut(this.#store, stored, revision);
      checkEnd(stored, head.revision);
      // Nothing but a rewind would stay visible there: it goes, too, and ranges do not pile up.
      const newest = stateOf({ head }).hidden.at(-1);
      if (newest === undefined || newest.last + 1 < head.revision) return head;
      revision = newest.first - 1;
    }
  }
}

/** Errors: RewindCrossesEndError. */
function checkEnd(
  { session: { sessionId }, head: { endRevision } }: StoredSession,
  revision: number,
) {
  if (revision < endRevision) throw new RewindCrossesEndError({ sessionId, revision, endRevision });
}
