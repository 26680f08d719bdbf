import { create } from "@bufbuild/protobuf";
import {
  type Event,
  type SetProtectionRequest,
  SetProtectionRequestSchema,
  type SetProtectionResponse,
  SetProtectionResponseSchema,
} from "@sessiond/contract";
import {
  type ContextState,
  type ProtectedEvent,
  ProtectedEventSchema,
} from "@sessiond/contract/store";
import {
  InvalidFieldError,
  ProtectedBudgetExceededError,
  SessionNotFoundError,
} from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import type { StoredSession } from "../../store/store.ts";
import { remembered } from "../answers.ts";
import { isHidden } from "../history/visible.ts";
import { namespaceOf } from "../names.ts";
import type { Requests } from "../requests.ts";
import type { SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { withAmendedSince } from "./amended-calls.ts";
import { amendmentsOf, withAmendments } from "./amendment-view.ts";
import { changeProtection } from "./compaction/decisions.ts";
import { coveredTokens } from "./covered.ts";
import { type EventCache, logOf } from "./event-cache.ts";
import { windowPolicy } from "./policy.ts";
import { stateOf } from "./state.ts";
import { contextUsage } from "./usage.ts";

const defaultReason = "requested";

/** Switches the protection of single events. */
export class Protections {
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #cache: EventCache;
  readonly #clock: Clock;

  constructor(args: {
    cells: SessionCells;
    requests: Requests;
    cache: EventCache;
    clock: Clock;
  }) {
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#cache = args.cache;
    this.#clock = args.clock;
  }

  /** Errors: as documented at the rpc. */
  async set(request: SetProtectionRequest): Promise<SetProtectionResponse> {
    validate(SetProtectionRequestSchema, request);
    const { sessionId, unprotect } = request;
    const name = { namespace: namespaceOf(request.namespace), sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: SetProtectionRequestSchema,
        message: request,
        responseSchema: SetProtectionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          const reason = unprotect ? "" : request.reason || defaultReason;
          for (;;) {
            cell.requireLatest();
            await cell.settled();
            const stored = cell.requireDurable();
            const { session, head } = stored;
            const log = logOf(stored);
            const state = stateOf(stored);
            const events: Event[] = [];
            for (const [index, revision] of request.revisions.entries()) {
              if (revision < 1 || revision > head.revision) throw outside(index, head.revision);
              if (isHidden(stateOf(stored).hidden, revision)) throw hidden(index);
              if (request.revisions.indexOf(revision) < index) continue;
              events.push(...(await this.#cache.range(log, revision, revision)));
            }
            const shown = await withAmendments(events, { cache: this.#cache, log, state });
            const entries = unprotect ? [] : shown.map((event) => entryOf(event, reason));
            const revisions = events.map(({ revision }) => revision);
            const groups = events.map(({ group }) => group);
            const read = await coveredTokens({ cache: this.#cache, log, state, groups });
            // Nothing waits between here and the commit.
            const before = cell.requireLatest();
            // Another session has taken the name meanwhile; the events are none of it.
            if (before.session.uid !== session.uid) throw new SessionNotFoundError(name);
            const gone = revisions.findIndex((one) => isHidden(stateOf(before).hidden, one));
            if (gone !== -1) throw hidden(gone);
            // Their tokens are those of the arguments they have by now.
            if (isAmendedSince(revisions, { from: state, to: stateOf(before) })) continue;
            const groupTokens = withAmendedSince(read, { from: state, to: stateOf(before) });
            const change = { revisions, reason, entries, groupTokens };
            const outcome = changeProtection(before, change, this.#clock());
            const { protectedTokens, protectedTokenBudget } = protectedOf(outcome.after);
            if (!unprotect) checkBudget(outcome.after);
            const response = create(SetProtectionResponseSchema, {
              revision: outcome.after.head.revision,
              protectedTokens,
              protectedTokenBudget,
              contextUsage: contextUsage(outcome.after),
            });
            await cell.commit({ ...outcome, ...remembered(remember(response)) });
            return response;
          }
        }),
    );
  }
}

/** One of the calls was amended between two states. */
function isAmendedSince(
  revisions: readonly number[],
  { from, to }: { from: ContextState; to: ContextState },
): boolean {
  if (from.amendedCalls === to.amendedCalls) return false;
  const [was, is] = [amendmentsOf(from), amendmentsOf(to)];
  return revisions.some((revision) => was.get(revision) !== is.get(revision));
}

function entryOf({ revision, group, tokens }: Event, reason: string): ProtectedEvent {
  if (group === 0) {
    throw new InvalidFieldError({
      field: "revisions",
      description: `revision ${revision} is a record that no window shows, so it cannot be protected`,
    });
  }
  return create(ProtectedEventSchema, { revision, group, tokens: tokens?.count ?? 0, reason });
}

/** Tokens of protected events and what they may have; the first user message has no share to keep to. */
function protectedOf({ session, head }: StoredSession): {
  protectedTokens: number;
  protectedTokenBudget: number;
} {
  const { protectedTokenBudget } = windowPolicy(session);
  const { protected: events = [], firstUserRevision = 0 } = head.context ?? {};
  const protectedTokens = events
    .filter(({ revision }) => revision !== firstUserRevision)
    .reduce((sum, { tokens }) => sum + tokens, 0);
  return { protectedTokens, protectedTokenBudget };
}

/** Errors: ProtectedBudgetExceededError. */
export function checkBudget(after: StoredSession): void {
  const { sessionId } = after.session;
  if ((after.head.context?.protected.length ?? 0) > limits.protectedEvents) {
    throw new ProtectedBudgetExceededError({ sessionId, limitEvents: limits.protectedEvents });
  }
  const { protectedTokens, protectedTokenBudget: limitTokens } = protectedOf(after);
  if (protectedTokens <= limitTokens) return;
  throw new ProtectedBudgetExceededError({ sessionId, protectedTokens, limitTokens });
}

function hidden(index: number): InvalidFieldError {
  return new InvalidFieldError({
    field: `revisions[${index}]`,
    description: "is hidden by a rewind, so no window shows it",
  });
}

function outside(index: number, head: number): InvalidFieldError {
  return new InvalidFieldError({
    field: `revisions[${index}]`,
    description: `is not in the log, which has revisions 1 to ${head}`,
  });
}
