import { create } from "@bufbuild/protobuf";
import { type Event, TokenAccuracy, type TokenCount, TokenCountSchema } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import { sideOf } from "../payloads.ts";

/** Counted tokens from which on the ratio to the reported ones is believed. */
const enoughTokens = 200;

/**
 * A report beyond these shares of our own count is of something else: of several events, or of the
 * first token of a stream. It is not believed.
 */
const lowestFactor = 0.5;
const highestFactor = 2;

/** Sums stop at the largest number their fields can carry. */
const maxUint32 = 0xffff_ffff;

/** Output of one session, in tokens: as counted, and as reported of the same events. */
export interface Learned {
  readonly counted: number;
  readonly reported: number;
}

/**
 * The count a provider reported for what its model wrote: output without reasoning, REPORTED.
 *
 * Undefined where our own count stands: it is exact, nothing was reported or nothing that could be
 * true of it, or the event is not the model's answer. Thinking is not: what is reported of it covers text that providers hide.
 */
export function reportedCount(event: Event, own: TokenCount): TokenCount | undefined {
  const isAnswer = sideOf(event) === "output" && event.payload.case !== "thinking";
  if (!isAnswer || own.accuracy !== TokenAccuracy.ESTIMATED || event.usage === undefined) {
    return undefined;
  }
  const count = event.usage.outputTokens - event.usage.reasoningTokens;
  if (count < lowestFactor * own.count || count > highestFactor * own.count) return undefined;
  return create(TokenCountSchema, {
    count,
    encoding: own.encoding,
    accuracy: TokenAccuracy.REPORTED,
  });
}

/**
 * The sums with an event added, for the session's state.
 *
 * `own` has the model's factor in it, but not the learned one, which would chase itself.
 */
export function learn(state: ContextState | undefined, event: Event, own: TokenCount): Learned {
  const before = {
    counted: state?.countedOutputTokens ?? 0,
    reported: state?.reportedOutputTokens ?? 0,
  };
  const report = reportedCount(event, own);
  if (report === undefined || own.count === 0) return before;
  const counted = before.counted + own.count;
  const reported = before.reported + report.count;
  // Stops with both, so that the ratio stays what it was.
  return Math.max(counted, reported) > maxUint32 ? before : { counted, reported };
}

/**
 * What counts of a session's model have to be multiplied with, beside the model's own factor.
 *
 * 1 until 200 tokens were counted and reported; never below 0.5 or above 2.
 */
export function learnedFactor(state: ContextState | undefined): number {
  const counted = state?.countedOutputTokens ?? 0;
  if (counted < enoughTokens) return 1;
  const ratio = (state?.reportedOutputTokens ?? 0) / counted;
  return Math.min(highestFactor, Math.max(lowestFactor, ratio));
}
