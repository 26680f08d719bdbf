import { create } from "@bufbuild/protobuf";
import {
  type AmendedCall,
  AmendedCallSchema,
  type CompactionState,
  type ContextState,
  type SessionHead,
} from "@sessiond/contract/store";
import { asCheckpoint } from "../history/checkpoints.ts";
import { isCovered } from "./covered.ts";
import { stateOf } from "./state.ts";

/** A change of the compaction in force. */
interface Step {
  readonly from: CompactionState | undefined;
  readonly to: CompactionState | undefined;
}

/**
 * A head at its `amendment` event, with what that means for it.
 *
 * It tells the arguments, but not what a window has of the call, so the head is kept.
 */
export function amendedHead(
  head: SessionHead,
  call: {
    revision: number;
    /** First revision of its group. */
    group: number;
    /** Tokens that it has now, and by how much that is more than before, as its events count them. */
    tokens: number;
    moreTokens: number;
    /** By how much a window that shows it grows. Default: `moreTokens`. */
    windowTokens?: number;
  },
): SessionHead {
  const { revision, group, tokens, moreTokens, windowTokens = moreTokens } = call;
  const state = stateOf({ head });
  const { amendedCalls, compaction, protected: guarded } = state;
  const known = amendedCalls.find((amended) => amended.revision === revision);
  const isShown = !isCovered(group, compaction) || guarded.some((event) => event.group === group);
  // Also where protection shows it: what the compaction took was measured on the call before.
  const isBehind = compaction !== undefined && group <= compaction.coveredThrough;
  const amended = create(AmendedCallSchema, {
    revision,
    amendmentRevision: head.revision,
    group,
    coveredTokens: (known?.coveredTokens ?? 0) + (isBehind ? moreTokens : 0),
  });
  const others = amendedCalls.filter((other) => other !== known);
  return asCheckpoint({
    ...head,
    windowTokens: Math.max(0, head.windowTokens + (isShown ? windowTokens : 0)),
    context: {
      ...state,
      amendedCalls: [...others, amended].sort((a, b) => a.revision - b.revision),
      protected: guarded.map((event) =>
        event.revision === revision ? { ...event, tokens } : event,
      ),
    },
  });
}

/** Amended calls when a compaction comes into force: of those it covers anew it has measured all. */
export function newlyCovered(calls: readonly AmendedCall[], { from, to }: Step): AmendedCall[] {
  return calls.map((call) =>
    isCovered(call.group, to) && !isCovered(call.group, from)
      ? { ...call, coveredTokens: 0 }
      : call,
  );
}

/** Amended calls when a compaction is taken back, and what windows gain of those that come back. */
export function uncovered(
  calls: readonly AmendedCall[],
  { from, to }: Step,
): { amendedCalls: AmendedCall[]; tokens: number } {
  let tokens = 0;
  const amendedCalls = calls.map((call) => {
    if (!isCovered(call.group, from) || isCovered(call.group, to)) return call;
    tokens += call.coveredTokens;
    return { ...call, coveredTokens: 0 };
  });
  return { amendedCalls, tokens };
}

/**
 * Tokens of covered groups that were read of one state, see `coveredTokens`, with what amendments made of
 * them up to another.
 */
export function withAmendedSince(
  groupTokens: ReadonlyMap<number, number>,
  { from, to }: { from: ContextState; to: ContextState },
): Map<number, number> {
  const tokens = new Map(groupTokens);
  const add = ({ group, coveredTokens }: AmendedCall, sign: 1 | -1) => {
    const known = tokens.get(group);
    if (known !== undefined) tokens.set(group, known + sign * coveredTokens);
  };
  for (const call of to.amendedCalls) add(call, 1);
  for (const call of from.amendedCalls) add(call, -1);
  return tokens;
}
