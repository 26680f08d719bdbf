import type { CompactionStrategy, RevisionRange } from "@sessiond/contract";
import type { Draft } from "../drafts.ts";
import type { Fitting } from "../fit.ts";
import type { Group } from "../groups.ts";
import { frameTokens, summaryTokens } from "../items.ts";
import { withoutRevisions } from "../ranges.ts";
import { keepWholeOf, oldResults, oldThinking } from "../shortenings.ts";

/** What a compaction would do, measured on the session as it was when it was planned. */
export interface CompactionPlan {
  readonly strategy: CompactionStrategy;
  /** Groups that leave, oldest first, beside those that left before. */
  readonly leaving: readonly Group[];
  /** Everything that is covered afterwards. */
  readonly covered: readonly RevisionRange[];
  readonly coveredThrough: number;
  /** First revisions of groups up to there that stay. */
  readonly sparedGroups: readonly number[];
  readonly shortenedThrough: number;
  readonly thinkingDroppedThrough: number;
  /** Tokens of the window before. */
  readonly tokensBefore: number;
  /** Tokens it has afterwards without a summary. */
  readonly tokensKept: number;
  /** `window_tokens` of the head it was planned on. */
  readonly windowTokens: number;
  /** Compaction that is absorbed, and its summary; 0 and "": none. */
  readonly previousRevision: number;
  readonly previousSummary: string;
  /** Tokens the new summary may have; 0: there is none. */
  readonly maxSummaryTokens: number;
}

/**
 * Plans a compaction, cheapest first: old tool results are shortened, old thinking is left out, and
 * if that is not enough the oldest groups leave until the target is reached.
 *
 * Groups that must stay, and those with an open call, never leave. `leaves`: exactly these groups
 * leave, whatever the target. Pure but for the tokens of shortened results.
 */
export async function planCompaction(args: {
  draft: Draft;
  fitting: Fitting;
  strategy: CompactionStrategy;
  targetTokens: number;
  /** Tokens the summary may have. 0: there is none. */
  maxSummaryTokens: number;
  leaves?: (group: Group) => boolean;
}): Promise<CompactionPlan> {
  const { draft, fitting, targetTokens, leaves } = args;
  const { visible, state, scope, policy, frame } = draft;
  const tokensBefore = frameTokens(frame) + fitting.total(visible);

  const results = oldResults(visible, keepWholeOf(policy.toolResults));
  await fitting.shorten(results);
  const thinking = oldThinking(visible, state.turnRevision);
  fitting.omit(thinking);

  const bare = frameTokens(frame) - summaryTokens(frame);
  const fits = frameTokens(frame) + fitting.total(visible) <= targetTokens;
  const leaving = leaves
    ? visible.filter(leaves)
    : fits
      ? []
      : oldestBeyond({
          fitting,
          candidates: visible.filter((group) => mayLeave(group, draft)),
          tokens: bare + fitting.total(visible) + args.maxSummaryTokens - targetTokens,
        });
  const gone = new Set(leaving);
  const kept = visible.filter((group) => !gone.has(group));
  const coveredThrough = Math.max(scope.coveredThrough, ...leaving.map(({ first }) => first));
  const absorbs = leaving.length > 0;
  return {
    strategy: args.strategy,
    leaving,
    covered: absorbs ? coveredBy(draft.covered, leaving, kept) : draft.covered,
    coveredThrough,
    sparedGroups: kept.filter(({ first }) => first <= coveredThrough).map(({ first }) => first),
    shortenedThrough: Math.max(
      state.compaction?.shortenedThrough ?? 0,
      ...results.map(({ revision }) => revision),
    ),
    thinkingDroppedThrough: Math.max(
      state.compaction?.thinkingDroppedThrough ?? 0,
      ...thinking.map(({ revision }) => revision),
    ),
    tokensBefore,
    tokensKept: (absorbs ? bare : frameTokens(frame)) + fitting.total(kept),
    windowTokens: draft.stored.head.windowTokens,
    previousRevision: state.compaction?.revision ?? 0,
    previousSummary: frame.summary?.text ?? "",
    maxSummaryTokens: absorbs ? args.maxSummaryTokens : 0,
  };
}

/** Groups that a compaction may take: not those that must stay, nor those that wait for a result. */
export function mayLeave({ first }: Group, { scope, state }: Draft): boolean {
  return !scope.required.has(first) && !state.openCalls.some(({ group }) => group === first);
}

/** The oldest groups that have at least so many tokens together. */
function oldestBeyond(args: {
  fitting: Fitting;
  candidates: readonly Group[];
  tokens: number;
}): Group[] {
  let left = args.tokens;
  const leaving: Group[] = [];
  for (const group of args.candidates) {
    if (left <= 0) break;
    left -= args.fitting.cost(group);
    leaving.push(group);
  }
  return leaving;
}

/**
 * From the first revision that leaves to the last one, all but what stays. Events that windows never
 * show are covered with those around them.
 */
function coveredBy(
  before: readonly RevisionRange[],
  leaving: readonly Group[],
  kept: readonly Group[],
): RevisionRange[] {
  const ends = [...before, ...leaving];
  const all = {
    first: Math.min(...ends.map(({ first }) => first)),
    last: Math.max(...ends.map(({ last }) => last)),
  };
  return withoutRevisions(
    [all],
    kept.flatMap(({ events }) => events.map(({ revision }) => revision)),
  );
}
