import { create } from "@bufbuild/protobuf";
import {
  type Event,
  type RevertCompactionRequest,
  RevertCompactionRequestSchema,
  type RevertCompactionResponse,
  RevertCompactionResponseSchema,
  type RevisionRange,
} from "@sessiond/contract";
import {
  type CompactionState,
  CompactionStateSchema,
  type ContextState,
} from "@sessiond/contract/store";
import { CompactionNotFoundError } from "../../../errors.ts";
import type { Clock } from "../../../ids.ts";
import { remembered } from "../../answers.ts";
import { type Hidden, isHidden, newestRewind } from "../../history/visible.ts";
import { namespaceOf } from "../../names.ts";
import type { Requests } from "../../requests.ts";
import type { SessionCells } from "../../session-cells.ts";
import { validate } from "../../validation/validate.ts";
import { withAmendedSince } from "../amended-calls.ts";
import { coveredTokens } from "../covered.ts";
import { type EventCache, type Log, logOf } from "../event-cache.ts";
import { stateOf } from "../state.ts";
import { contextUsage } from "../usage.ts";
import { compactionPolicy } from "./compactor.ts";
import { revert } from "./decisions.ts";

/** Takes compactions back. */
export class Reverts {
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
  async revert(request: RevertCompactionRequest): Promise<RevertCompactionResponse> {
    validate(RevertCompactionRequestSchema, request);
    const { sessionId, compactionRevision } = request;
    const name = { namespace: namespaceOf(request.namespace), sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: RevertCompactionRequestSchema,
        message: request,
        responseSchema: RevertCompactionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          cell.requireLatest();
          await cell.settled();
          const stored = cell.requireDurable();
          const { session, head } = stored;
          const log = logOf(stored);
          const inForce = head.context?.compaction?.revision ?? 0;
          const wanted = compactionRevision || inForce;
          const event = await this.#compaction(log, inForce);
          if (event === undefined || wanted !== inForce) {
            throw new CompactionNotFoundError({ sessionId, compactionRevision, inForce });
          }
          const state = stateOf(stored);
          const previous = await this.#previous(log, event, state.hidden);
          const read = await this.#protectedTokens(log, state);
          // Nothing waits between here and the commit.
          const before = cell.requireLatest();
          const isSame =
            before.session.uid === session.uid &&
            newestRewind(stateOf(before).hidden) === newestRewind(state.hidden);
          if (!isSame || before.head.context?.compaction?.revision !== inForce) {
            throw new CompactionNotFoundError({
              sessionId,
              compactionRevision: inForce,
              inForce: 0,
            });
          }
          const { room, targetTokens } = compactionPolicy(before);
          const holdTokens = room - targetTokens;
          const groupTokens = withAmendedSince(read, { from: state, to: stateOf(before) });
          const change = { event, previous, holdTokens, groupTokens };
          const outcome = revert(before, change, this.#clock());
          const response = create(RevertCompactionResponseSchema, {
            revision: outcome.after.head.revision,
            contextUsage: contextUsage(outcome.after),
          });
          await cell.commit({ ...outcome, ...remembered(remember(response)) });
          return response;
        }),
    );
  }

  async #compaction(log: Log, revision: number): Promise<Event | undefined> {
    if (revision === 0) return undefined;
    const [event] = await this.#cache.range(log, revision, revision);
    return event?.payload.case === "compaction" ? event : undefined;
  }

  /** What was in force before a compaction, as it is found in the log. */
  async #previous(
    log: Log,
    { payload }: Event,
    hidden: Hidden,
  ): Promise<CompactionState | undefined> {
    if (payload.case !== "compaction") return undefined;
    const event = await this.#compaction(log, payload.value.previousRevision);
    if (event?.payload.case !== "compaction") return undefined;
    const { covered, shortenedThrough, thinkingDroppedThrough, summaryTokens } =
      event.payload.value;
    const coveredThrough = await this.#coveredThrough(log, covered, hidden);
    const spared = new Set<number>();
    let next = 1;
    for (const { first, last } of covered) {
      // What lies in front of the ranges, and between them, was spared.
      if (next < first) {
        const events = await this.#cache.range(log, next, first - 1);
        for (const { group, revision } of events) {
          if (group === 0 || group > coveredThrough || isHidden(hidden, revision)) continue;
          spared.add(group);
        }
      }
      next = last + 1;
    }
    return create(CompactionStateSchema, {
      revision: event.revision,
      coveredThrough,
      shortenedThrough,
      thinkingDroppedThrough,
      summaryTokens,
      sparedGroups: [...spared],
    });
  }

  /** First revision of the youngest group in the ranges. */
  async #coveredThrough(
    log: Log,
    covered: readonly RevisionRange[],
    hidden: Hidden,
  ): Promise<number> {
    let youngest = 0;
    for (const { first, last } of covered.toReversed()) {
      // Backwards; no group of an event is younger than the event.
      for (let end = last; end >= first && end > youngest; end -= stride) {
        const events = await this.#cache.range(log, Math.max(first, end - stride + 1), end);
        for (const { group, revision } of events) {
          if (!isHidden(hidden, revision)) youngest = Math.max(youngest, group);
        }
      }
    }
    return youngest;
  }

  /** Of the protected groups that the compaction in force covers. */
  #protectedTokens(log: Log, state: ContextState) {
    const groups = state.protected.map(({ group }) => group);
    return coveredTokens({ cache: this.#cache, log, state, groups });
  }
}

/** Events that are read at once on the way back through a log. */
const stride = 128;
