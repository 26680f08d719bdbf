import { create } from "@bufbuild/protobuf";
import { SessionEndSchema, SessionState } from "@sessiond/contract";
import type { StoredSession } from "../../store/store.ts";
import { traitsOf } from "../payloads.ts";
import type { EventDraft, Outcome } from "../record.ts";
import { recordEnd } from "./transitions.ts";

/**
 * Ends a session with the append that reached a limit of it; else gives back what it was given.
 *
 * `drafts`: what the append brought. Only steps reach `max_steps` and only tokens `max_tokens`, so
 * other records end nothing, also where a limit was lowered below what is there. Outputs reach neither:
 * they are what the limit was there to get. They count from the next append on.
 */
export function withinLimits(
  outcome: Outcome,
  drafts: readonly EventDraft[],
  nowMs: number,
): Outcome {
  const limit = reachedLimit(outcome.after, drafts);
  if (limit === undefined) return outcome;
  const { name, reason } = limit;
  const end = create(SessionEndSchema, { limit: name, reason });
  const ended = recordEnd(outcome.after, { state: SessionState.LIMIT_REACHED, end }, nowMs);
  return { after: ended.after, events: [...outcome.events, ...ended.events] };
}

function reachedLimit(
  { session, head }: StoredSession,
  drafts: readonly EventDraft[],
): { name: "max_steps" | "max_tokens"; reason: string } | undefined {
  const { maxSteps, maxTokens } = session.limits ?? {};
  // Most sessions have none, and every append comes by here.
  if (maxSteps === undefined && maxTokens === undefined) return undefined;
  const steps = head.metrics?.steps ?? 0;
  const tokens = head.metrics?.tokens?.total ?? 0;
  const outputs = drafts.filter(({ event }) => event.payload.case === "output");
  if (isReached(maxSteps, steps, { brought: stepsOf(drafts), exempt: stepsOf(outputs) })) {
    return {
      name: "max_steps",
      reason: `${steps} of ${maxSteps} ${maxSteps === 1 ? "step" : "steps"}`,
    };
  }
  if (isReached(maxTokens, tokens, { brought: tokensOf(drafts), exempt: tokensOf(outputs) })) {
    return {
      name: "max_tokens",
      reason: `${tokens} of ${maxTokens} ${maxTokens === 1 ? "token" : "tokens"}`,
    };
  }
  return undefined;
}

/** Says whether a count is at its limit by what an append brought. */
function isReached(
  limit: number | undefined,
  count: number,
  { brought, exempt }: { readonly brought: number; readonly exempt: number },
): boolean {
  return limit !== undefined && brought > 0 && count - exempt >= limit;
}

function stepsOf(drafts: readonly EventDraft[]): number {
  return drafts.filter(({ event }) => traitsOf(event).isStep).length;
}

function tokensOf(drafts: readonly EventDraft[]): number {
  return drafts.reduce((sum, { tokens }) => sum + (tokens?.count ?? 0), 0);
}
