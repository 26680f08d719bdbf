import { create } from "@bufbuild/protobuf";
import {
  type Compaction,
  CompactionDueSchema,
  type CompactionMetrics,
  CompactionMetricsSchema,
  CompactionRevertedSchema,
  CompactionSchema,
  type Event,
  ProtectionChangedSchema,
} from "@sessiond/contract";
import {
  type CompactionState,
  CompactionStateSchema,
  type ContextState,
  type ProtectedEvent,
  type SessionHead,
} from "@sessiond/contract/store";
import { CompactionStaleError } from "../../../errors.ts";
import type { StoredSession } from "../../../store/store.ts";
import { appendRecord } from "../../decisions.ts";
import { asCheckpoint } from "../../history/checkpoints.ts";
import { newestRewind } from "../../history/visible.ts";
import type { Outcome } from "../../record.ts";
import { newlyCovered, uncovered } from "../amended-calls.ts";
import { isCovered } from "../covered.ts";
import { stateOf } from "../state.ts";
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
 * Errors: CompactionStaleError when another compaction or a rewind came first, or something that
 * leaves must stay by now, or was amended; SessionEndedError.
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
    savedCost: (Math.max(0, plan.tokensBefore - tokensAfter) / 1_000) * plan.costPer1000,
  });
  const outcome = appendRecord(before, { case: "compaction", value }, nowMs);
  // What was appended since the plan was made comes on top.
  const tokens = tokensAfter - plan.standInTokens - plan.usageTokens;
  return withHead(
    outcome,
    compactedHead(outcome.after.head, { compaction: value, ...plan, tokens }),
  );
}

/**
 * A head at its `compaction` event, with what that means for it. `tokens`: by how much the window
 * grows, which is less than nothing.
 */
export function compactedHead(
  head: SessionHead,
  args: {
    compaction: Compaction;
    coveredThrough: number;
    sparedGroups: readonly number[];
    tokens: number;
  },
): SessionHead {
  const { compaction, coveredThrough, sparedGroups, tokens } = args;
  const { shortenedThrough, thinkingDroppedThrough, summaryTokens } = compaction;
  const before = stateOf({ head });
  const now = create(CompactionStateSchema, {
    revision: head.revision,
    coveredThrough,
    shortenedThrough,
    thinkingDroppedThrough,
    summaryTokens,
    sparedGroups: [...sparedGroups],
  });
  return changedHead(head, {
    windowTokens: Math.max(0, head.windowTokens + tokens),
    metrics: (metrics) => compacted(metrics, compaction, 1),
    context: {
      ...before,
      compaction: now,
      amendedCalls: newlyCovered(before.amendedCalls, { from: before.compaction, to: now }),
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
  const outcome = appendRecord(before, { case: "compactionDue", value }, nowMs);
  return withHead(outcome, dueHead(outcome.after.head));
}

/** A head at its `compaction_due` event, with what that means for it. */
export function dueHead(head: SessionHead): SessionHead {
  return changedHead(head, { context: { ...stateOf({ head }), dueRevision: head.revision } });
}

/**
 * Takes the compaction in force back. `previous`: the one that was in force before it.
 *
 * `holdTokens`: by how much the window has to grow until a compaction may start by itself.
 * `groupTokens`: of the protected groups that it covers.
 *
 * Errors: SessionEndedError.
 */
export function revert(
  before: StoredSession,
  args: {
    event: Event;
    previous: CompactionState | undefined;
    holdTokens: number;
    /** See `coveredTokens`. */
    groupTokens: ReadonlyMap<number, number>;
  },
  nowMs: number,
): Outcome {
  const { event, previous, holdTokens, groupTokens } = args;
  const { revision, payload } = event;
  if (payload.case !== "compaction") throw new TypeError(`revision ${revision} is no compaction`);
  const { tokensBefore, tokensAfter } = payload.value;
  const value = create(CompactionRevertedSchema, { revision });
  const outcome = appendRecord(before, { case: "compactionReverted", value }, nowMs);
  const { compaction: reverted, protected: guarded } = stateOf(outcome.after);
  // What protection has brought back since would count twice.
  const back = new Set(guarded.map(({ group }) => group));
  let twice = 0;
  for (const [group, tokens] of groupTokens) {
    if (back.has(group) && isCovered(group, reverted) && !isCovered(group, previous))
      twice += tokens;
  }
  const tokens = tokensBefore - tokensAfter - twice;
  const change = { compaction: payload.value, previous, tokens, holdTokens };
  return withHead(outcome, revertedHead(outcome.after.head, change));
}

/**
 * A head at its `compaction_reverted` event, with what that means for it. `tokens`: by how much the
 * window grows.
 */
export function revertedHead(
  head: SessionHead,
  args: {
    compaction: Compaction;
    previous: CompactionState | undefined;
    tokens: number;
    holdTokens: number;
  },
): SessionHead {
  const { compaction, previous, tokens, holdTokens } = args;
  const { compaction: reverted, ...rest } = stateOf({ head });
  const back = uncovered(rest.amendedCalls, { from: reverted, to: previous });
  const windowTokens = Math.max(0, head.windowTokens + tokens + back.tokens);
  return changedHead(head, {
    windowTokens,
    metrics: (metrics) => compacted(metrics, compaction, -1),
    context: {
      ...rest,
      amendedCalls: back.amendedCalls,
      ...(previous && { compaction: previous }),
      holdBelowTokens: windowTokens + rest.instructionTokens + rest.toolTokens + holdTokens,
      dueRevision: 0,
    },
  });
}

/**
 * Protects events, or takes their protection away. `entries`: what the head keeps of the events that
 * are protected now. `groupTokens`: of their groups, where a compaction covers them: windows gain or
 * lose as much.
 *
 * Errors: SessionEndedError.
 */
export function changeProtection(
  before: StoredSession,
  args: {
    revisions: readonly number[];
    reason: string;
    entries: readonly ProtectedEvent[];
    /** See `coveredTokens`. */
    groupTokens: ReadonlyMap<number, number>;
  },
  nowMs: number,
): Outcome {
  const { revisions, reason, entries, groupTokens } = args;
  const value = create(ProtectionChangedSchema, { revisions: [...revisions], reason });
  const outcome = appendRecord(before, { case: "protectionChanged", value }, nowMs);
  return withHead(outcome, protectedHead(outcome.after.head, { revisions, entries, groupTokens }));
}

/** A head at its `protection_changed` event, with what that means for it. */
export function protectedHead(
  head: SessionHead,
  args: {
    revisions: readonly number[];
    entries: readonly ProtectedEvent[];
    groupTokens: ReadonlyMap<number, number>;
  },
): SessionHead {
  const { revisions, entries, groupTokens } = args;
  const concerned = new Set(revisions);
  const { protected: known, compaction } = stateOf({ head });
  const others = known.filter(({ revision }) => !concerned.has(revision));
  const all = [...others, ...entries].sort((a, b) => a.revision - b.revision);
  let { windowTokens } = head;
  for (const [first, tokens] of groupTokens) {
    const isOf = ({ group }: ProtectedEvent) => group === first;
    if (!isCovered(first, compaction)) continue;
    windowTokens += tokens * (Number(all.some(isOf)) - Number(known.some(isOf)));
  }
  return changedHead(head, {
    windowTokens: Math.max(0, windowTokens),
    metrics: (metrics) => ({ ...metrics, protectedEvents: all.length }),
    context: { ...stateOf({ head }), protected: all, protectionChanged: true },
  });
}

function checkFresh(before: StoredSession, plan: CompactionPlan): void {
  // A session of the same name may have taken the place of the one that was planned on.
  const isSame = before.session.uid === plan.sessionUid;
  const { compaction, protected: guarded, openCalls, amendedCalls, hidden } = stateOf(before);
  const leaving = new Set(plan.leaving.map(({ first }) => first));
  const mustStay = [...guarded, ...openCalls].some(({ group }) => leaving.has(group));
  // Its summary would say the old arguments, and it was measured with them.
  const isAmended = amendedCalls.some(
    ({ group, amendmentRevision }) => leaving.has(group) && amendmentRevision > plan.headRevision,
  );
  const isRewound = newestRewind(hidden) !== plan.rewindRevision;
  // It would be spared for ever although nothing brings it back any more.
  const kept = new Set(guarded.map(({ group }) => group));
  const isReleased = plan.broughtBack.some((group) => !kept.has(group));
  const isNext = (compaction?.revision ?? 0) === plan.previousRevision;
  if (!isSame || !isNext || isRewound || isReleased || mustStay || isAmended) {
    throw new CompactionStaleError(before.session);
  }
}

type Metrics = NonNullable<SessionHead["metrics"]>;

function withHead({ after, events }: Outcome, head: SessionHead): Outcome {
  return { after: { ...after, head }, events };
}

/** No event tells the whole of it, so it is kept. */
function changedHead(
  head: SessionHead,
  change: {
    windowTokens?: number;
    metrics?: (before: Metrics) => Metrics;
    context: ContextState;
  },
): SessionHead {
  const { windowTokens = head.windowTokens } = change;
  const metrics = head.metrics && change.metrics ? change.metrics(head.metrics) : head.metrics;
  const { context } = change;
  return asCheckpoint({ ...head, windowTokens, context, ...(metrics && { metrics }) });
}

function compacted(metrics: Metrics, compaction: Compaction, sign: 1 | -1): Metrics {
  const old: CompactionMetrics = metrics.compactions ?? create(CompactionMetricsSchema);
  const count = old.count + sign;
  const tokensBefore = old.tokensBefore + sign * compaction.tokensBefore;
  const tokensAfter = old.tokensAfter + sign * compaction.tokensAfter;
  return {
    ...metrics,
    compactions: create(CompactionMetricsSchema, {
      count,
      tokensBefore,
      tokensAfter,
      ratio: tokensBefore === 0 ? 0 : 1 - tokensAfter / tokensBefore,
      savedCost: count === 0 ? 0 : Math.max(0, old.savedCost + sign * compaction.savedCost),
    }),
  };
}
