import { create, type DescMessage } from "@bufbuild/protobuf";
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
import { CompactionStaleError } from "../../../errors.ts";
import type { Clock } from "../../../ids.ts";
import { namespaceOf } from "../../names.ts";
import type { Outcome } from "../../record.ts";
import type { Remember, Requests } from "../../requests.ts";
import { checkRevision, type SessionCell, type SessionCells } from "../../session-cells.ts";
import { validate } from "../../validation/validate.ts";
import type { EventCache } from "../event-cache.ts";
import { contextUsage } from "../usage.ts";
import { type Compactor, compactionPolicy } from "./compactor.ts";
import { announce, compact } from "./decisions.ts";

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
          const targetTokens = request.targetRatio * policy.room || policy.targetTokens;
          const wish = { strategy, targetTokens, leastTokens: 1 };
          const decide = await this.#prepare(cell, wish, signal);
          const outcome = decide?.();
          const after = outcome?.after ?? cell.requireLatest();
          const payload = outcome?.events.at(-1)?.payload;
          const response = create(CompactSessionResponseSchema, {
            revision: outcome?.after.head.revision ?? 0,
            ...(payload?.case === "compaction" && { compaction: payload.value }),
            contextUsage: contextUsage(after),
          });
          await commit(cell, outcome, response, remember);
          return response;
        }),
    );
  }

  /** Compacts a session by its own policy; false: it would not be worth it. */
  async compactByPolicy(cell: SessionCell, signal: AbortSignal): Promise<boolean> {
    const stored = cell.requireDurable();
    const { strategy, targetTokens, room } = compactionPolicy(stored);
    // Less than that would come back at once.
    const leastTokens = Math.max(1, room * leastShare);
    const decide = await this.#prepare(cell, { strategy, targetTokens, leastTokens }, signal);
    if (decide === undefined) return false;
    await cell.commit(decide());
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
          const { session, head } = stored;
          const log = { uid: session.uid, head: head.revision };
          const [event] =
            head.context?.dueRevision === dueRevision
              ? await this.#cache.range(log, dueRevision, dueRevision)
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
            leaves: ({ first: group }) =>
              covered.some(({ first, last }) => first <= group && group <= last),
          });
          const outcome = compact(cell.requireLatest(), plan, summary, this.#clock());
          const payload = outcome.events.at(-1)?.payload;
          const response = create(SubmitSummaryResponseSchema, {
            revision: outcome.after.head.revision,
            ...(payload?.case === "compaction" && { compaction: payload.value }),
            contextUsage: contextUsage(outcome.after),
          });
          await commit(cell, outcome, response, remember);
          return response;
        }),
    );
  }

  /**
   * Plans and summarises. What it gives decides on the session as it is then, and is to be committed
   * in the same turn of the event loop. Undefined: less would be gained than `leastTokens`.
   */
  async #prepare(
    cell: SessionCell,
    wish: { strategy: CompactionStrategy; targetTokens: number; leastTokens: number },
    signal: AbortSignal,
  ): Promise<(() => Outcome) | undefined> {
    const { strategy, targetTokens, leastTokens } = wish;
    const stored = cell.requireDurable();
    const plan = await this.#compactor.plan(stored, { strategy, targetTokens });
    const gained = plan.tokensBefore - plan.tokensKept;
    if (gained < leastTokens) return undefined;
    if (strategy === Strategy.CLIENT && plan.leaving.length > 0) {
      return () => announce(cell.requireLatest(), plan, this.#clock());
    }
    const summary = await this.#compactor.summarise(stored, plan, signal);
    if (gained - (summary?.tokens ?? 0) < leastTokens) return undefined;
    return () => compact(cell.requireLatest(), plan, summary, this.#clock());
  }
}

/** Share of the room that a compaction by itself has to gain. */
const leastShare = 0.05;

/** Commits an outcome, or, when there is none, keeps the answer for retries. */
export async function commit<Res extends DescMessage>(
  cell: SessionCell,
  outcome: Outcome | undefined,
  response: Parameters<Remember<Res>>[0],
  remember: Remember<Res>,
): Promise<void> {
  const request = remember(response);
  if (outcome === undefined && request === undefined) return;
  const { latest } = cell;
  await cell.commit({
    ...(latest && { after: latest }),
    events: [],
    ...outcome,
    ...(request && { request }),
  });
}
