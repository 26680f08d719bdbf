import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type ContextUsage, ContextUsageSchema, type Session } from "@sessiond/contract";
import type { StoredSession } from "../store/store.ts";
import { expireTimeMs } from "./expiry.ts";

/** A session as callers see it: its fields and its head in one message. */
export function sessionView({ session, head }: StoredSession): Session {
  const view: Session = { ...session, headRevision: head.revision };
  if (head.metrics) view.metrics = head.metrics;
  if (head.lastActivityTime) {
    view.lastActivityTime = head.lastActivityTime;
    // The stored time is that of the last change of the session; appends move idle expiry along.
    const dueMs = expireTimeMs(session, timestampMs(head.lastActivityTime));
    if (dueMs !== undefined) view.expireTime = timestampFromMs(dueMs);
  }
  return view;
}

const defaultTokenBudget = 8_000;
const defaultTriggerRatio = 0.95;

/** How full the session's context window is, by its own policy. */
export function contextUsage({ session, head }: StoredSession): ContextUsage {
  const policy = session.contextPolicy;
  const tokenBudget = policy?.tokenBudget || defaultTokenBudget;
  const room = Math.max(1, tokenBudget - (policy?.reservedOutputTokens ?? 0));
  const ratio = head.windowTokens / room;
  return create(ContextUsageSchema, {
    windowTokens: head.windowTokens,
    tokenBudget,
    ratio,
    compactionDue: ratio >= (policy?.compaction?.triggerRatio || defaultTriggerRatio),
  });
}
