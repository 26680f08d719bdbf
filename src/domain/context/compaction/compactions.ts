import { create } from "@bufbuild/protobuf";
import {
  type CompactionStrategy,
  type CompactSessionRequest,
  CompactSessionRequestSchema,
  type CompactSessionResponse,
  CompactSessionResponseSchema,
  CompactionStrategy as Strategy,
  type SubmitSummaryRequest,
  SubmitSummaryRequestSchema,
  type SubmitSummaryResponse,
  SubmitSummaryResponseSchema,
} from "@sessiond/contract";
import { CompactionStaleError, InvalidFieldError } from "../../../errors.ts";
import type { Clock } from "../../../ids.ts";
import { remembered, withoutEffect } from "../../answers.ts";
import { namespaceOf } from "../../names.ts";
import type { Outcome } from "../../record.ts";
import type { Requests } from "../../requests.ts";
import { checkRevision, type SessionCell, type SessionCells } from "../../session-cells.ts";
import { validate } from "../../validation/validate.ts";
import { type EventCache, logOf } from "../event-cache.ts";
import { contextUsage } from "../usage.ts";
import { type Compactor, compactionPolicy } from "./compactor.ts";
import { announce, compact, type Summary } from "./decisions.ts";
import { type Goal, goalOf, policyGoal } from "./goal.ts";
import type { CompactionPlan } from "./plan.ts";

/** Compacts sessions when they are told to, and takes the summaries that agents submit. */
export class Compactions {
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #compactor: Compactor;
  readonly #cache: EventCache;
  readonly #clock: Clock;

  constructor(args: {
    cells: SessionCells;
    requests: Requests;
    compactor: Compactor;
    cache: EventCache;
    clock: Clock;
  }) {
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#compactor = args.compactor;
    this.#cache = args.cache;
    this.#clock = args.clock;
  }

  /** Errors: as documented at the rpc; so for all methods here. */
  async compact(
    request: CompactSessionRequest,
    signal: AbortSignal,
  ): Promise<CompactSessionResponse> {
    validate(CompactSessionRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: CompactSessionRequestSchema,
        message: request,
        responseSchema: CompactSessionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          checkRevision(cell, request.expectedRevision);
          const stored = cell.requireLatest();
          const policy = compactionPolicy(stored);
          const strategy = request.strategy || policy.strategy;
          this.#compactor.checkAvailable(strategy);
          await cell.settled();
          const goal = goalOf(cell.requireDurable(), policy, request.targetRatio);
          let prepared = await this.#prepare(cell, { strategy, goal }, signal);
          let done: Outcome | undefined;
          // A long log takes several compactions, one for each piece; each is whole by itself.
          while (prepared?.isPiece) {
            done = prepared.decide();
            await cell.commit(done);
            prepared = await this.#prepare(cell, { strategy, goal }, signal);
          }
          const outcome = prepared?.decide();
          const newest = outcome ?? done;
          const payload = newest?.events.at(-1)?.payload;
          const response = create(CompactSessionResponseSchema, {
            revision: newest?.after.head.revision ?? 0,
            ...(payload?.case === "compaction" && { compaction: payload.value }),
            contextUsage: contextUsage(outcome?.after ?? cell.requireLatest()),
          });
          if (outcome === undefined) return withoutEffect(cell, response, remember(response));
          await cell.commit({ ...outcome, ...remembered(remember(response)) });
          return response;
        }),
    );
  }

  /** Compacts a session by its own policy; false: it would not be worth it. */
  async compactByPolicy(cell: SessionCell, signal: AbortSignal): Promise<boolean> {
    const stored = cell.requireDurable();
    const policy = compactionPolicy(stored);
    const { strategy } = policy;
    const prepared = await this.#prepare(
      cell,
      { strategy, goal: policyGoal(stored, policy) },
      signal,
    );
    if (prepared === undefined) return false;
    await cell.commit(prepared.decide());
    return true;
  }

  async submit(request: SubmitSummaryRequest): Promise<SubmitSummaryResponse> {
    validate(SubmitSummaryRequestSchema, request);
    const { sessionId, dueRevision } = request;
    const name = { namespace: namespaceOf(request.namespace), sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: SubmitSummaryRequestSchema,
        message: request,
        responseSchema: SubmitSummaryResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          cell.requireLatest();
          await cell.settled();
          const stored = cell.requireDurable();
          const [event] =
            stored.head.context?.dueRevision === dueRevision
              ? await this.#cache.range(logOf(stored), dueRevision, dueRevision)
              : [];
          if (event?.payload.case !== "compactionDue") throw new CompactionStaleError(request);
          const { covered, maxSummaryTokens } = event.payload.value;
          const summary = await this.#compactor.submitted(
            stored,
            request.summary,
            maxSummaryTokens,
          );
          const plan = await this.#compactor.plan(stored, {
            strategy: Strategy.CLIENT,
            goal: { targetTokens: 0, maxSummaryTokens, leastTokens: 1 },
            leaves: ({ first: group }) =>
              covered.some(({ first, last }) => first <= group && group <= last),
          });
          if (plan === undefined || plan.leaving.length === 0) {
            throw new CompactionStaleError(request);
          }
          checkProgress(plan, summary);
          const outcome = compact(cell.requireLatest(), plan, summary, this.#clock());
          const payload = outcome.events.at(-1)?.payload;
          const response = create(SubmitSummaryResponseSchema, {
            revision: outcome.after.head.revision,
            ...(payload?.case === "compaction" && { compaction: payload.value }),
            contextUsage: contextUsage(outcome.after),
          });
          await cell.commit({ ...outcome, ...remembered(remember(response)) });
          return response;
        }),
    );
  }

  /**
   * Plans and summarises. Undefined: less would be gained than the goal asks for.
   *
   * `decide` decides on the session as it is then; what it gives is to be committed in the same turn
   * of the event loop.
   */
  async #prepare(
    cell: SessionCell,
    wish: { strategy: CompactionStrategy; goal: Goal },
    signal: AbortSignal,
  ): Promise<{ decide: () => Outcome; isPiece: boolean } | undefined> {
    const stored = cell.requireDurable();
    const plan = await this.#compactor.plan(stored, wish);
    if (plan === undefined) return undefined;
    if (wish.strategy === Strategy.CLIENT && plan.leaving.length > 0) {
      return { decide: () => announce(cell.requireLatest(), plan, this.#clock()), isPiece: false };
    }
    const summary = await this.#compactor.summarise(stored, plan, signal);
    if (gainOf(plan, summary) < wish.goal.leastTokens) return undefined;
    const decide = () => compact(cell.requireLatest(), plan, summary, this.#clock());
    return { decide, isPiece: plan.isPiece };
  }
}

/** Tokens by which a window becomes smaller. */
function gainOf(
  { tokensBefore, tokensKept }: CompactionPlan,
  summary: Summary | undefined,
): number {
  return tokensBefore - tokensKept - (summary?.tokens ?? 0);
}

/** Errors: InvalidFieldError for a summary that makes the window larger than it was. */
function checkProgress(plan: CompactionPlan, summary: Summary): void {
  if (gainOf(plan, summary) > 0) return;
  throw new InvalidFieldError({
    field: "summary",
    description: `takes ${summary.tokens} tokens for ${plan.tokensBefore - plan.tokensKept} that leave; make it shorter`,
  });
}
