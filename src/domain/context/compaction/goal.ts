import type { StoredSession } from "../../../store/store.ts";
import type { WindowPolicy } from "../policy.ts";
import { windowTokensOf } from "../usage.ts";

/** What a compaction is to reach, in tokens of the whole window. */
export interface Goal {
  readonly targetTokens: number;
  /** What the summary may have. */
  readonly maxSummaryTokens: number;
  /** A compaction that gains less is not worth it. */
  readonly leastTokens: number;
}

/** Share of the window that a compaction by itself has to gain; less would come back at once. */
const leastShare = 0.05;

/** A summary is at most so much of what a compaction leaves. */
const summaryShare = 1 / 3;

/** A summary of fewer tokens, counted without the factor of a model, says nothing. */
export const leastSummaryTokens = 16;

/** The goal of a compaction that starts by itself. */
export function policyGoal(stored: StoredSession, policy: WindowPolicy): Goal {
  const leastTokens = leastShare * Math.min(policy.room, windowTokensOf(stored));
  return { ...goalOf(stored, policy), leastTokens: Math.max(1, Math.floor(leastTokens)) };
}

/**
 * The goal of a compaction that somebody asked for: a share of the room, by default the policy's.
 *
 * A window that is smaller than the policy's target already, because turns, messages or a caller
 * made the compaction due, is brought to the same share of what is in it.
 */
export function goalOf(stored: StoredSession, policy: WindowPolicy, targetRatio = 0): Goal {
  const { room } = policy;
  const { instructionTokens = 0, toolTokens = 0 } = stored.head.context ?? {};
  const fixedTokens = instructionTokens + toolTokens;
  const windowTokens = windowTokensOf(stored);
  const share = policy.targetTokens / Math.max(1, room);
  const targetTokens =
    targetRatio > 0
      ? Math.floor(targetRatio * room)
      : windowTokens > policy.targetTokens
        ? policy.targetTokens
        : fixedTokens + Math.floor(share * (windowTokens - fixedTokens));
  const maxSummaryTokens = Math.max(
    Math.ceil(leastSummaryTokens * policy.encoding.factor),
    Math.min(policy.maxSummaryTokens, Math.floor(summaryShare * targetTokens)),
  );
  return { targetTokens, maxSummaryTokens, leastTokens: 1 };
}
