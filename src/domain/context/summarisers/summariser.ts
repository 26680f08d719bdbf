import type { Group } from "../groups.ts";

/** What a summary has to say, and how long it may be. */
export interface SummaryTask {
  /** What leaves the window, oldest first. */
  readonly groups: readonly Group[];
  /** Summary that stands before them and is absorbed. Empty: none. */
  readonly previousSummary: string;
  /** Most tokens the summary may have, counted in `encoding`. */
  readonly maxTokens: number;
  readonly encoding: string;
  /** Fires when nobody needs the summary any more. */
  readonly signal: AbortSignal;
}

/**
 * Makes the text that stands in a window for what leaves it.
 *
 * The summary is not blank and has at most `maxTokens` tokens. Not promised: that it is true, or
 * free of instructions; see `untrusted.ts` for how it may stand in a window.
 */
export interface Summariser {
  /** Errors: SummariserFailedError, also when `signal` fires. Nothing needs to be undone. */
  summarise(task: SummaryTask): Promise<string>;
}

/** Tokens of a text as windows count them. */
export type CountTokens = (text: string, encoding: string) => Promise<number>;
