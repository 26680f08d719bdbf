import { create } from "@bufbuild/protobuf";
import { SessionEndSchema, SessionState } from "@sessiond/contract";
import type { StoredSession } from "../../store/store.ts";
import { traitsOf } from "../payloads.ts";
import type { EventDraft, Outcome } from "../record.ts";
import { recordEnd } from "./transitions.ts";

/**
 * Ends a session with the append that reached a limit of it; else gives back what it was given.
 *
 * `drafts`: what the append brought. Records that are neither steps nor have tokens end nothing,
 * also where the limit was lowered below what is there.
 */
export function withinLimits(
  outcome: Outcome,
  drafts: readonly EventDraft[],
  nowMs: number,
): Outcome {
  const limit = reachedLimit(outcome.after);
  if (limit === undefined || !drafts.some(isCounted)) return outcome;
  const { name, reason } = limit;
  const end = create(SessionEndSchema, { limit: name, reason });
  const ended = recordEnd(outcome.after, { state: SessionState.LIMIT_REACHED, end }, nowMs);
  return { after: ended.after, events: [...outcome.events, ...ended.events] };
}

function isCounted({ event, tokens }: EventDraft): boolean {
  return traitsOf(event).isStep || (tokens?.count ?? 0) > 0;
}

function reachedLimit({
  session,
  head,
}: StoredSession): { name: "max_steps" | "max_tokens"; reason: string } | undefined {
  const { maxSteps = 0, maxTokens = 0 } = session.limits ?? {};
  const steps = head.metrics?.steps ?? 0;
  const tokens = head.metrics?.tokens?.total ?? 0;
  if (maxSteps > 0 && steps >= maxSteps) {
    return { name: "max_steps", reason: `${steps} steps of ${maxSteps}` };
  }
  if (maxTokens > 0 && tokens >= maxTokens) {
    return { name: "max_tokens", reason: `${tokens} tokens of ${maxTokens}` };
  }
  return undefined;
}
