import { create } from "@bufbuild/protobuf";
import { type ContextUsage, ContextUsageSchema } from "@sessiond/contract";
import type { StoredSession } from "../../store/store.ts";
import { type WindowPolicy, windowPolicy } from "./policy.ts";

/**
 * Tokens the session's own window would have now, before anything is cut.
 *
 * It is what a window without a dialect says, but for three things: what stands in for a result that
 * is awaited counts when the result is there, turns and messages beyond those a policy shows count
 * until they are compacted, and so does the whole of a result that a policy always shortens. What was
 * reduced by a compaction and is protected since counts as reduced until the next one.
 */
export function windowTokensOf({ head }: StoredSession): number {
  const { instructionTokens = 0, toolTokens = 0 } = head.context ?? {};
  return head.windowTokens + instructionTokens + toolTokens;
}

/** How full the session's context window is, by its own policy. */
export function contextUsage(
  stored: StoredSession,
  policy: WindowPolicy = windowPolicy(stored.session),
): ContextUsage {
  const windowTokens = windowTokensOf(stored);
  return create(ContextUsageSchema, {
    windowTokens,
    tokenBudget: policy.tokenBudget,
    ratio: windowTokens / Math.max(1, policy.room),
    compactionDue: isCompactionDue(stored, policy),
  });
}

/** A trigger of the policy is reached: by tokens, turns or messages. */
export function isCompactionDue(stored: StoredSession, policy: WindowPolicy): boolean {
  const { context } = stored.head;
  if (context === undefined) return false;
  const windowTokens = windowTokensOf(stored);
  if (windowTokens < context.holdBelowTokens) return false;
  const { triggerTokens, triggerTurns, triggerMessages } = policy;
  return (
    windowTokens >= triggerTokens ||
    (triggerTurns > 0 && context.turnsSinceCompaction >= triggerTurns) ||
    (triggerMessages > 0 && context.messagesSinceCompaction >= triggerMessages)
  );
}
