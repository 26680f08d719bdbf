import { create } from "@bufbuild/protobuf";
import {
  CompactionDueSchema,
  type CompactionMetrics,
  CompactionMetricsSchema,
  CompactionRevertedSchema,
  CompactionSchema,
  type Event,
  EventSchema,
  ProtectionChangedSchema,
} from "@sessiond/contract";
import {
  type CompactionState,
  CompactionStateSchema,
  type ContextState,
  ContextStateSchema,
  type ProtectedEvent,
  type SessionHead,
} from "@sessiond/contract/store";
import { CompactionStaleError } from "../../../errors.ts";
import type { StoredSession } from "../../../store/store.ts";
import { appendEvents } from "../../decisions.ts";
import type { Outcome } from "../../record.ts";
import type { CompactionPlan } from "./plan.ts";

/*
 * Decisions about windows. Pure like those of `domain/decisions.ts`, on which they stand: each is one
 * event, and the state that follows from it.
 */

/** The summary of a compaction, and its tokens in a window. */
export interface Summary {
  readonly text: string;
  readonly tokens: number;
}

/**
 * Puts a plan into force.
 *
 * Errors: CompactionStaleError when another compaction came first, or something that leaves must
 * stay by now; SessionEndedError.
 */
export function compact(
  before: StoredSession,
  plan: CompactionPlan,
  summary: Summary | undefined,
  nowMs: number,
): Outcome {
  checkFresh(before, plan);
  const tokensAfter = plan.tokensKept + (summary?.tokens ?? 0);
  const value = create(CompactionSchema, {
    covered: [...plan.covered],
    strategy: plan.strategy,
    summary: summary?.text ?? "",
    tokensBefore: plan.tokensBefore,
    tokensAfter,
    summaryTokens: summary?.tokens ?? 0,
    shortenedThrough: plan.shortenedThrough,
    thinkingDroppedThrough: plan.thinkingDroppedThrough,
    previousRevision: plan.previousRevision,
  });
  const outcome = append(before, { case: "compaction", value }, nowMs);
  const { instructionTokens, toolTokens } = stateOf(before);
  const grown = before.head.windowTokens - plan.windowTokens;
  return withHead(outcome, {
    windowTokens: Math.max(0, tokensAfter - instructionTokens - toolTokens + grown),
    metrics: (metrics) => compacted(metrics, plan.tokensBefore, tokensAfter, 1),
    context: {
      ...stateOf(outcome.after),
      compaction: create(CompactionStateSchema, {
        revision: outcome.after.head.revision,
        coveredThrough: plan.coveredThrough,
        shortenedThrough: plan.shortenedThrough,
        thinkingDroppedThrough: plan.thinkingDroppedThrough,
        summaryTokens: summary?.tokens ?? 0,
        sparedGroups: [...plan.sparedGroups],
      }),
      turnsSinceCompaction: 0,
      messagesSinceCompaction: 0,
      holdBelowTokens: 0,
      dueRevision: 0,
    },
  });
}

/** Asks the agent for the summary of a plan. Errors: as `compact`. */
export function announce(before: StoredSession, plan: CompactionPlan, nowMs: number): Outcome {
  checkFresh(before, plan);
  const value = create(CompactionDueSchema, {
    covered: [...plan.covered],
    previousSummary: plan.previousSummary,
    maxSummaryTokens: plan.maxSummaryTokens,
  });
  const outcome = append(before, { case: "compactionDue", value }, nowMs);
  const dueRevision = outcome.after.head.revision;
  return withHead(outcome, { context: { ...stateOf(outcome.after), dueRevision } });
}

/**
 * Takes the compaction in force back. `previous`: the one that was in force before it.
 *
 * `holdTokens`: by how much the window has to grow until a compaction may start by itself.
 *
 * Errors: SessionEndedError.
 */
export function revert(
  before: StoredSession,
  args: { event: Event; previous: CompactionState | undefined; holdTokens: number },
  nowMs: number,
): Outcome {
  const { event, previous, holdTokens } = args;
  const { revision, payload } = event;
  if (payload.case !== "compaction") throw new TypeError(`revision ${revision} is no compaction`);
  const { tokensBefore, tokensAfter } = payload.value;
  const value = create(CompactionRevertedSchema, { revision });
  const outcome = append(before, { case: "compactionReverted", value }, nowMs);
  const { compaction: _reverted, ...rest } = stateOf(outcome.after);
  const windowTokens = before.head.windowTokens + tokensBefore - tokensAfter;
  return withHead(outcome, {
    windowTokens,
    metrics: (metrics) => compacted(metrics, tokensBefore, tokensAfter, -1),
    context: {
      ...rest,
      ...(previous && { compaction: previous }),
      holdBelowTokens: windowTokens + rest.instructionTokens + rest.toolTokens + holdTokens,
      dueRevision: 0,
    },
  });
}

/**
 * Protects events, or takes their protection away. `entries`: what the head keeps of the events that
 * are protected now.
 *
 * Errors: SessionEndedError.
 */
export function changeProtection(
  before: StoredSession,
  args: { revisions: readonly number[]; reason: string; entries: readonly ProtectedEvent[] },
  nowMs: number,
): Outcome {
  const { revisions, reason, entries } = args;
  const value = create(ProtectionChangedSchema, { revisions: [...revisions], reason });
  const outcome = append(before, { case: "protectionChanged", value }, nowMs);
  const concerned = new Set(revisions);
  const others = stateOf(before).protected.filter(({ revision }) => !concerned.has(revision));
  const all = [...others, ...entries].sort((a, b) => a.revision - b.revision);
  return withHead(outcome, {
    metrics: (metrics) => ({ ...metrics, protectedEvents: all.length }),
    context: { ...stateOf(outcome.after), protected: all, protectionChanged: true },
  });
}

function checkFresh({ session, head }: StoredSession, plan: CompactionPlan): void {
  const { compaction, protected: guarded, openCalls } = head.context ?? create(ContextStateSchema);
  const leaving = new Set(plan.leaving.map(({ first }) => first));
  const mustStay = [...guarded, ...openCalls].some(({ group }) => leaving.has(group));
  if ((compaction?.revision ?? 0) !== plan.previousRevision || mustStay) {
    throw new CompactionStaleError(session);
  }
}

function append(before: StoredSession, payload: Event["payload"], nowMs: number): Outcome {
  return appendEvents(before, [{ event: create(EventSchema, { payload }) }], nowMs);
}

type Metrics = NonNullable<SessionHead["metrics"]>;

function withHead(
  { after, events }: Outcome,
  change: {
    windowTokens?: number;
    metrics?: (before: Metrics) => Metrics;
    context: ContextState;
  },
): Outcome {
  const { head } = after;
  const { windowTokens = head.windowTokens } = change;
  const metrics = head.metrics && change.metrics ? change.metrics(head.metrics) : head.metrics;
  const { context } = change;
  return {
    after: { ...after, head: { ...head, windowTokens, context, ...(metrics && { metrics }) } },
    events,
  };
}

function stateOf({ head }: StoredSession): ContextState {
  return head.context ?? create(ContextStateSchema);
}

function compacted(metrics: Metrics, before: number, after: number, sign: 1 | -1): Metrics {
  const old: CompactionMetrics = metrics.compactions ?? create(CompactionMetricsSchema);
  const tokensBefore = old.tokensBefore + sign * before;
  const tokensAfter = old.tokensAfter + sign * after;
  return {
    ...metrics,
    compactions: create(CompactionMetricsSchema, {
      count: old.count + sign,
      tokensBefore,
      tokensAfter,
      ratio: tokensBefore === 0 ? 0 : 1 - tokensAfter / tokensBefore,
    }),
  };
}
