import type { BundleMeasures } from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import { stateOf } from "../context/state.ts";

/** Two encodings do not count a text so differently, nor do the factors of models. */
const highestRatio = 16;
/** Room for words around a summary. */
const frameTokens = 1_024;
/** Beyond these shares of our own count a report is not believed, see `tokens/reported.ts`. */
const reportRatio = 2;

/**
 * Puts what was measured into a head that was worked out of its log. A text names the measure that
 * this log cannot have.
 */
export function measuredHead(
  head: SessionHead,
  measures: BundleMeasures,
  shownTokens: number,
): SessionHead | string {
  const { windowTokens, summaryTokens, holdBelowTokens, countedOutputTokens } = measures;
  const { reencodedRevision } = measures;
  const context = stateOf({ head });
  const { compaction, instructionTokens, toolTokens, reportedOutputTokens } = context;
  const highestWindow =
    highestRatio * (shownTokens + (compaction?.summaryTokens ?? 0)) + frameTokens;
  if (windowTokens > highestWindow) return "window_tokens";
  if (holdBelowTokens > highestRatio * (highestWindow + instructionTokens + toolTokens)) {
    return "hold_below_tokens";
  }
  const highestSummary =
    compaction === undefined ? 0 : highestRatio * compaction.summaryTokens + frameTokens;
  if (summaryTokens > highestSummary) return "summary_tokens";
  const isReported =
    countedOutputTokens <= reportRatio * reportedOutputTokens &&
    countedOutputTokens * reportRatio >= reportedOutputTokens;
  if (!isReported) return "counted_output_tokens";
  if (reencodedRevision > head.revision) return "reencoded_revision";
  return {
    ...head,
    windowTokens,
    reencodedRevision,
    context: {
      ...context,
      holdBelowTokens,
      countedOutputTokens,
      ...(compaction && { compaction: { ...compaction, summaryTokens } }),
    },
  };
}
