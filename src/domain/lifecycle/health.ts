import { create } from "@bufbuild/protobuf";
import { type Hint, HintSchema, SessionEndSchema, SessionState } from "@sessiond/contract";
import type { StoredSession } from "../../store/store.ts";
import type { EventDraft, Outcome } from "../record.ts";
import { hasEnded } from "./states.ts";
import { recordEnd } from "./transitions.ts";

/** Requests from which on an error rate counts, unless the session's policy says otherwise. */
const defaultMinRequests = 10;

/**
 * Ends a session as FAILED with the failed request that took it above the error rate of its policy;
 * else gives back what it was given. `drafts`: what the append brought.
 */
export function withinHealth(
  outcome: Outcome,
  drafts: readonly EventDraft[],
  nowMs: number,
): Outcome {
  const { after } = outcome;
  const { failErrorRate = 0 } = after.session.healthPolicy ?? {};
  if (failErrorRate === 0 || hasEnded(after) || !drafts.some(isFailedRequest)) return outcome;
  const { rate, errors, count } = requestsOf(after);
  if (rate <= failErrorRate) return outcome;
  const end = create(SessionEndSchema, {
    reason: `error rate above ${failErrorRate}`,
    errorCode: "error_rate",
    errorMessage: `${errors} of ${count} requests failed`,
  });
  const ended = recordEnd(after, { state: SessionState.FAILED, end }, nowMs);
  return { after: ended.after, events: [...outcome.events, ...ended.events] };
}

/** What the session's policy warns of, as things stand. */
export function healthHints(stored: StoredSession): Hint[] {
  const { warnErrorRate = 0, warnErrors = 0 } = stored.session.healthPolicy ?? {};
  const { rate, errors, count } = requestsOf(stored);
  const hints: Hint[] = [];
  if (warnErrorRate > 0 && rate > warnErrorRate) {
    const message = `${errors} of ${count} requests failed, a rate above ${warnErrorRate}; look at what they have in common`;
    hints.push(create(HintSchema, { code: "high_error_rate", message }));
  }
  if (warnErrors > 0 && errors > warnErrors) {
    const message = `${errors} requests failed, more than ${warnErrors}; look at what they have in common`;
    hints.push(create(HintSchema, { code: "many_errors", message }));
  }
  return hints;
}

/** What a change makes the session's policy warn of, and it did not before. */
export function newWarnings(before: StoredSession | undefined, after: StoredSession): Hint[] {
  if (after.session.healthPolicy === undefined) return [];
  const known = new Set(before && healthHints(before).map(({ code }) => code));
  return healthHints(after).filter(({ code }) => !known.has(code));
}

function isFailedRequest({ event: { payload } }: EventDraft): boolean {
  return payload.case === "requestRecorded" && payload.value.error !== undefined;
}

/** Requests of a session; their rate is 0 until there are enough of them. */
function requestsOf({ session, head }: StoredSession) {
  const { count = 0, errors = 0, errorRate = 0 } = head.metrics?.requests ?? {};
  const { minRequests = defaultMinRequests } = session.healthPolicy ?? {};
  return { count, errors, rate: count < minRequests ? 0 : errorRate };
}
