import { create } from "@bufbuild/protobuf";
import {
  type RewindSessionRequest,
  RewindSessionRequestSchema,
  type RewindSessionResponse,
  RewindSessionResponseSchema,
} from "@sessiond/contract";
import type { OpenCall, SessionHead } from "@sessiond/contract/store";
import {
  InvalidFieldError,
  RevisionConflictError,
  RevisionOutOfRangeError,
  RewindCrossesEndError,
} from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { remembered, withoutEffect } from "../answers.ts";
import { changesEncoding, type Reencoding } from "../context/reencoding.ts";
import { stateOf } from "../context/state.ts";
import { contextUsage } from "../context/usage.ts";
import { requireActive } from "../lifecycle/lapse.ts";
import { namespaceOf } from "../names.ts";
import type { Quotas } from "../quotas/quotas.ts";
import type { Requests } from "../requests.ts";
import { checkRevision, type SessionCells } from "../session-cells.ts";
import { checkLogSize } from "../sizes.ts";
import { validate } from "../validation/validate.ts";
import { beforeGroups, headAtCut } from "./cut.ts";
import { rewindSession, rewoundHead } from "./rewind.ts";
import { newestRewind } from "./visible.ts";

/** How often a rewind looks anew when others append while it reads. */
const attempts = 10;

/** Rewinds sessions. */
export class Rewinds {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #quotas: Quotas;
  readonly #reencoding: Reencoding;
  readonly #clock: Clock;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    requests: Requests;
    quotas: Quotas;
    reencoding: Reencoding;
    clock: Clock;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#quotas = args.quotas;
    this.#reencoding = args.reencoding;
    this.#clock = args.clock;
  }

  /** Errors: as documented at the rpc. */
  async rewind(request: RewindSessionRequest): Promise<RewindSessionResponse> {
    validate(RewindSessionRequestSchema, request);
    const { to } = request;
    if (to.case === undefined || (to.case !== "revision" && !to.value)) {
      throw new InvalidFieldError({
        field: to.case ?? "revision",
        description: "say how far: a revision to keep, 1 or more groups to hide, or redo",
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
        this.#quotas.within(name, (admit) =>
          this.#cells.use(name, async (cell) => {
            for (let attempt = 0; attempt < attempts; attempt++) {
              checkRevision(cell, request.expectedRevision);
              requireActive(cell.requireLatest(), this.#clock());
              await cell.settled();
              const stored = cell.requireDurable();
              const target = await this.#target(stored, await this.#revision(stored, request.to));
              // Nothing waits between here and the commit.
              const before = cell.requireLatest();
              if (!leadsTo(target, { stored, before, to: request.to })) continue;
              checkRevision(cell, request.expectedRevision);
              const outcome = hides(target, before)
                ? rewindSession(before, target, this.#clock())
                : undefined;
              const response = create(RewindSessionResponseSchema, {
                revision: outcome?.after.head.revision ?? 0,
                visibleThrough: outcome === undefined ? before.head.revision : target.revision,
                contextUsage: contextUsage(outcome?.after ?? before),
              });
              if (outcome === undefined) return withoutEffect(cell, response, remember(response));
              checkLogSize(outcome, 1);
              admit(before, outcome.after);
              await cell.commit({ ...outcome, ...remembered(remember(response)) });
              return response;
            }
            const { sessionId } = cell.name;
            const actual = cell.requireLatest().head.revision;
            throw new RevisionConflictError({ sessionId, expected: actual, actual });
          }),
        ),
    );
  }

  /** Errors: RevisionOutOfRangeError. */
  async #revision(stored: StoredSession, to: RewindSessionRequest["to"]): Promise<number> {
    if (to.case === "groups") return beforeGroups(this.#store, stored, to.value);
    if (to.case === "redo") return beforeRewind(stored);
    const { sessionId } = stored.session;
    const { revision: headRevision } = stored.head;
    const revision = to.value ?? 0;
    if (revision < 1 || revision > headRevision) {
      throw new RevisionOutOfRangeError({ sessionId, revision, headRevision });
    }
    return revision;
  }

  /** The head where a rewind to a revision leads, in the session's encoding. */
  async #target(stored: StoredSession, revision: number): Promise<SessionHead> {
    const target = await this.#head(stored, revision);
    if (target.revision >= stored.head.reencodedRevision) return target;
    const head = rewoundHead(stored.head, target);
    const { windowTokens, context } = await this.#reencoding.recounted({ ...stored, head });
    const { compaction, holdBelowTokens = 0 } = context ?? {};
    const known = { ...stateOf({ head: target }), holdBelowTokens };
    return {
      ...target,
      windowTokens,
      context: { ...known, ...(compaction && { compaction }) },
    };
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

/**
 * The target, worked out for the session as it was stored, is the right one for what it is before the
 * rewind. Behind a revision others may have appended meanwhile, as long as they go on with no group that
 * the target has open, end nothing and rewind nothing; groups are counted anew.
 */
function leadsTo(
  target: SessionHead,
  args: { stored: StoredSession; before: StoredSession; to: RewindSessionRequest["to"] },
): boolean {
  const { stored, before, to } = args;
  if (before === stored) return true;
  const isOther =
    before.session.uid !== stored.session.uid || changesEncoding(before.session, stored.session);
  if (to.case !== "revision" || isOther) return false;
  const [was, is] = [stateOf(stored), stateOf(before)];
  const open = new Map(is.openCalls.map((call) => [call.revision, call]));
  const isUntouched = (call: OpenCall) => {
    const known = was.openCalls.find(({ revision }) => revision === call.revision);
    return known === undefined || open.get(call.revision) === known;
  };
  return (
    target.revision < stored.head.revision &&
    was.newestGroup?.firstRevision !== stateOf({ head: target }).newestGroup?.firstRevision &&
    before.head.endRevision === stored.head.endRevision &&
    newestRewind(is.hidden) === newestRewind(was.hidden) &&
    stateOf({ head: target }).openCalls.every(isUntouched)
  );
}

/** A rewind there would hide something that is not hidden by the newest event already. */
function hides({ revision }: SessionHead, { head }: StoredSession): boolean {
  if (revision === head.revision) return false;
  const newest = stateOf({ head }).hidden.at(-1);
  return !(newest?.last === head.revision - 1 && newest.first === revision + 1);
}

/** The revision in front of a rewind that is the newest event; else the newest one. */
function beforeRewind(stored: StoredSession): number {
  const { revision } = stored.head;
  return newestRewind(stateOf(stored).hidden) === revision ? revision - 1 : revision;
}

/** Errors: RewindCrossesEndError. */
function checkEnd(
  { session: { sessionId }, head: { endRevision } }: StoredSession,
  revision: number,
) {
  if (revision < endRevision) throw new RewindCrossesEndError({ sessionId, revision, endRevision });
}
