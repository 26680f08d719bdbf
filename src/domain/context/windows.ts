import {
  type GetContextWindowRequest,
  GetContextWindowRequestSchema,
  type GetContextWindowResponse,
} from "@sessiond/contract";
import { ContextTooLongError, ProtectedBudgetExceededError } from "../../errors.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { namespaceOf } from "../names.ts";
import type { Protection } from "../protection/protection.ts";
import type { SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { answer } from "./answer.ts";
import type { Draft, Drafts } from "./drafts.ts";
import { type EventCache, logOf } from "./event-cache.ts";
import type { Fitted, Fitting } from "./fit.ts";
import type { Group } from "./groups.ts";
import { frameTokens } from "./items.ts";
import { windowPolicy } from "./policy.ts";
import { RequestRules } from "./request-rules.ts";
import { newestUserText, Retrieval, type Retrieved } from "./retrieval.ts";
import type { Indexes } from "./retrieve/indexes.ts";
import { enoughFor } from "./scope.ts";
import { shortenedTokens } from "./shortenings.ts";
import { stateOf } from "./state.ts";

/**
 * Builds context windows.
 *
 * A window costs by its own size: it reads the newest events until they are enough, and older ones
 * by name. It writes nothing.
 */
export class Windows {
  readonly #cells: SessionCells;
  readonly #drafts: Drafts;
  readonly #retrieval: Retrieval;
  readonly #rules: RequestRules;

  constructor(args: {
    cells: SessionCells;
    drafts: Drafts;
    cache: EventCache;
    indexes: Indexes;
    store: Store;
    protection: Protection;
  }) {
    this.#cells = args.cells;
    this.#drafts = args.drafts;
    this.#retrieval = new Retrieval({ ...args, sizes: args.drafts.sizes });
    this.#rules = new RequestRules(args);
  }

  /** Errors: as documented at the rpc. */
  async window(request: GetContextWindowRequest): Promise<GetContextWindowResponse> {
    validate(GetContextWindowRequestSchema, request);
    const { sessionId } = request;
    return this.#cells.use({ namespace: namespaceOf(request.namespace), sessionId }, (cell) =>
      this.#build(cell.requireDurable(), request),
    );
  }

  async #build(
    stored: StoredSession,
    request: GetContextWindowRequest,
  ): Promise<GetContextWindowResponse> {
    const { dialect, agent, authors } = request;
    const policy = windowPolicy(stored.session, request);
    const rules = request.policy?.protectionRules ?? [];
    const state = await this.#rules.apply(stateOf(stored), logOf(stored), rules);
    const draft = await this.#drafts.make(
      stored,
      { policy, dialect, agent, authors, state },
      enoughFor({ policy, authors, largestResult: shortenedTokens(policy.toolResults) }),
    );
    this.#checkProtected(draft);
    return answer({ ...(await this.#fit(draft, queryOf(request, draft.visible))), request });
  }

  /** The first user message has no share to keep to: whoever begins decides how long it is. */
  #checkProtected({ stored, state, visible, policy }: Draft): void {
    const limitTokens = policy.protectedTokenBudget;
    const known = new Set(state.protected.map(({ revision }) => revision));
    known.delete(state.firstUserRevision);
    let protectedTokens = 0;
    for (const { events } of visible) {
      for (const event of events) {
        if (!known.has(event.revision)) continue;
        protectedTokens += this.#drafts.sizes.of(event, policy.encoding)?.count ?? 0;
      }
    }
    if (protectedTokens <= limitTokens) return;
    const { sessionId } = stored.session;
    throw new ProtectedBudgetExceededError({ sessionId, protectedTokens, limitTokens });
  }

  async #fit(
    draft: Draft,
    query: string,
  ): Promise<{ draft: Draft; fitted: Fitted; retrieved?: Retrieved }> {
    const fitting = await this.#drafts.fitting(draft);
    const isAllThere = await fitting.reduce();
    // What a compaction covers can be found by a query, whether or not the rest fits.
    if (isAllThere && (query === "" || draft.scope.coveredThrough === 0)) {
      return { draft, fitted: fitting.fitted(draft.visible, 0) };
    }
    const stay = await fitting.require();
    if (stay === undefined) {
      // The log has what a summary says; what must stay goes before it.
      const { summary, ...frame } = draft.frame;
      if (summary === undefined) throw tooLong(draft, fitting);
      return this.#fit({ ...draft, frame: { ...frame, summary: undefined } }, query);
    }
    if (query === "") return { draft, fitted: fitting.recent(stay) };
    return { draft, ...(await this.#retrieval.fit({ draft, fitting, stay, query })) };
  }
}

function tooLong(
  { stored, policy, visible, scope, frame, state }: Draft,
  fitting: Fitting,
): ContextTooLongError {
  const required = visible.filter(({ first }) => scope.required.has(first));
  const guarded = new Set(state.protected.map(({ group }) => group));
  const protectedTokens = fitting.total(required.filter(({ first }) => guarded.has(first)));
  const turnTokens = fitting.total(required) - protectedTokens;
  const instructionTokens = frameTokens(frame);
  return new ContextTooLongError({
    sessionId: stored.session.sessionId,
    tokenBudget: policy.tokenBudget,
    reservedOutputTokens: policy.reservedOutputTokens,
    requiredTokens: instructionTokens + protectedTokens + turnTokens,
    instructionTokens,
    protectedTokens,
    turnTokens,
  });
}

function queryOf({ query, retrieve }: GetContextWindowRequest, visible: readonly Group[]): string {
  return query === "" && retrieve ? newestUserText(visible) : query;
}
