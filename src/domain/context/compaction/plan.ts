import type { CompactionStrategy, Event, RevisionRange } from "@sessiond/contract";
import { newestRewind } from "../../history/visible.ts";
import { isCovered } from "../covered.ts";
import { type Draft, summaryShare } from "../drafts.ts";
import type { Fitting } from "../fit.ts";
import type { Group } from "../groups.ts";
import { frameTokens, summaryTokens } from "../items.ts";
import { withoutRevisions } from "../ranges.ts";
import { keepWholeOf, oldResults, oldThinking } from "../shortenings.ts";
import { windowTokensOf } from "../usage.ts";
import { type Goal, leastSummaryTokens } from "./goal.ts";

/** What a compaction would do, measured on the session as it was when it was planned. */
export interface CompactionPlan {
  /** Key of the log it was planned on. */
  readonly sessionUid: string;
  /** Revision of the session then. */
  readonly headRevision: number;
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
  /** Of both, tokens that stand in for the results of calls that wait for one. */
  readonly standInTokens: number;
  /** What the head said the window has, see `windowTokensOf`. */
  readonly usageTokens: number;
  /** Compaction that is absorbed; 0: none. */
  readonly previousRevision: number;
  /** Newest rewind that hides something; 0: none does. */
  readonly rewindRevision: number;
  /** Groups covered before that are shown because they are protected. */
  readonly broughtBack: readonly number[];
  /** Its summary, and the tokens that it has in a window; "" and 0: none. */
  readonly previousSummary: string;
  readonly previousSummaryTokens: number;
  /** Tokens the new summary may have; 0: there is no new one. */
  readonly maxSummaryTokens: number;
  /** The target is not reached, because only a piece of the log was looked at. */
  readonly isPiece: boolean;
  /** Price of 1,000 input tokens of the session's model. 0: unknown. */
  readonly costPer1000: number;
}

/**
 * Plans a compaction, cheapest first: old tool results are shortened, old thinking is left out, and
 * if that is not enough the oldest groups leave until the target is reached.
 *
 * Groups that must stay, and those with an open call, never leave. `leaves`: exactly these of the
 * others leave, whatever the goal. Undefined: less than the goal asks for would be gained. Pure but
 * for the tokens of shortened results.
 */
export async function planCompaction(args: {
  draft: Draft;
  fitting: Fitting;
  strategy: CompactionStrategy;
  goal: Goal;
  /** Tokens of the words around a summary. Absent: there is none. */
  summaryFrame: number | undefined;
  leaves: ((group: Group) => boolean) | undefined;
  costPer1000: number;
}): Promise<CompactionPlan | undefined> {
  const { draft, fitting, goal, summaryFrame, leaves } = args;
  const { visible, state, scope, policy, frame, stored } = draft;
  const isPiece = draft.log.head < stored.head.revision;
  const standInTokens = standIns(draft, fitting);
  const usageTokens = windowTokensOf(stored);
  const measured = frameTokens(frame) + fitting.total(visible);
  // What was not read is known from the head.
  const unread = isPiece ? Math.max(0, usageTokens - measured + standInTokens) : 0;

  const results = oldResults(visible, keepWholeOf(policy.toolResults));
  await fitting.shorten(results);
  const thinking = oldThinking(visible, state.turnRevision);
  fitting.omit(thinking);

  const previousSummaryTokens = frame.summary ? (state.compaction?.summaryTokens ?? 0) : 0;
  const bare = frameTokens(frame) - summaryTokens(frame) + unread;
  const withSummary = bare + previousSummaryTokens + fitting.total(visible);
  const candidates = visible.filter((group) => mayLeave(group, draft) && isWhole(group, draft));
  const room = summaryFrame === undefined ? 0 : summaryFrame + goal.maxSummaryTokens;
  const leaving = leaves
    ? candidates.filter(leaves)
    : withSummary <= goal.targetTokens
      ? []
      : oldestBeyond({
          fitting,
          candidates,
          tokens: bare + fitting.total(visible) + room - goal.targetTokens,
        });
  const gone = new Set(leaving);
  const kept = visible.filter((group) => !gone.has(group));
  const tokensBefore = measured + unread;
  const tokensKept = bare + fitting.total(kept);
  const spare = tokensBefore - tokensKept - goal.leastTokens;
  const absorbs = leaving.length > 0;
  const hasSummary = absorbs && summaryFrame !== undefined;
  const maxSummaryTokens = hasSummary
    ? Math.min(goal.maxSummaryTokens, Math.min(spare, shownSummary(draft)) - summaryFrame)
    : 0;
  if (hasSummary ? maxSummaryTokens < leastSummaryTokens : spare < 0) return undefined;
  if (!absorbs && spare < previousSummaryTokens) return undefined;

  const coveredThrough = Math.max(scope.coveredThrough, leaving.at(-1)?.first ?? 0);
  return {
    sessionUid: stored.session.uid,
    headRevision: stored.head.revision,
    strategy: args.strategy,
    leaving,
    covered: absorbs ? coveredBy(draft.covered, leaving, kept) : draft.covered,
    coveredThrough,
    sparedGroups: kept.filter(({ first }) => first <= coveredThrough).map(({ first }) => first),
    shortenedThrough: newest(results, state.compaction?.shortenedThrough),
    thinkingDroppedThrough: newest(thinking, state.compaction?.thinkingDroppedThrough),
    tokensBefore,
    tokensKept,
    standInTokens,
    usageTokens,
    previousRevision: state.compaction?.revision ?? 0,
    rewindRevision: newestRewind(state.hidden),
    broughtBack: state.protected
      .map(({ group }) => group)
      .filter((group) => isCovered(group, state.compaction)),
    previousSummary: frame.summary?.text ?? "",
    previousSummaryTokens,
    maxSummaryTokens,
    isPiece: isPiece && !leaves && tokensKept + maxSummaryTokens > goal.targetTokens,
    costPer1000: args.costPer1000,
  };
}

/** Tokens that a window of the session's own budget shows of a summary. */
function shownSummary({ policy, frame: { instructions } }: Draft): number {
  const { instructionTokens, toolTokens } = instructions;
  return Math.floor(summaryShare * (policy.room - instructionTokens - toolTokens));
}

/** Tokens of what stands in for the results of calls that wait for one. */
function standIns({ visible, state }: Draft, fitting: Fitting): number {
  const open = new Set(state.openCalls.map(({ group }) => group));
  let tokens = 0;
  for (const group of visible) {
    if (!open.has(group.first)) continue;
    for (const piece of fitting.pieces(group)) {
      if (piece.reason === "no_result") tokens += piece.tokens;
    }
  }
  return tokens;
}

/** Revisions at the end of a piece, whose groups may go on behind it. */
const margin = 64;

/** The group does not go on behind what was read of the log. */
function isWhole({ first, last }: Group, { log, stored, state }: Draft): boolean {
  if (log.head === stored.head.revision) return true;
  if (last > log.head - margin) return false;
  return !state.lateMembers.some(({ group, revision }) => group === first && revision > log.head);
}

function newest(events: readonly Event[], before = 0): number {
  let revision = before;
  for (const event of events) revision = Math.max(revision, event.revision);
  return revision;
}

/** Groups that a compaction may take: not those that must stay, nor those that wait for a result. */
function mayLeave({ first }: Group, { scope, state }: Draft): boolean {
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
    first: ends.reduce((min, { first }) => Math.min(min, first), Number.POSITIVE_INFINITY),
    last: ends.reduce((max, { last }) => Math.max(max, last), 0),
  };
  return withoutRevisions(
    [all],
    kept.flatMap(({ events }) => events.map(({ revision }) => revision)),
  );
}
