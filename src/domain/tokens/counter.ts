import type { TokenCount } from "@sessiond/contract";

/**
 * Counts tokens of texts.
 *
 * Text is text: `<|endoftext|>` in it has no special meaning. Never blocks the event loop; counts
 * of one call come back together, in order. A count always comes: where it cannot be exact it is
 * ESTIMATED. Not promised: that calls are answered in the order they were made.
 */
export interface TokenCounter {
  /**
   * Counts each text in an encoding.
   *
   * The count of an empty text is 0 and EXACT. A text with a run of more than 1,024 characters
   * without a boundary is counted in pieces and marked ESTIMATED, because tokenizers take time
   * quadratic in the length of such a run. So is any text when too many wait or the tokenizer
   * fails.
   *
   * Errors: NotSupportedError for an encoding without a tokenizer, ShuttingDownError after `close`.
   */
  count(texts: readonly string[], encoding: string): Promise<TokenCount[]>;
  /**
   * Finds the first and the last tokens of a text and leaves out what stands between.
   *
   * No character is cut in two, so either end may be short of the one that its last token belongs
   * to. Costs by what is kept, not by the length of the text. Undefined: nothing stands between.
   * Where tokens cannot be found out, both ends have fewer of them, hardly ever more.
   *
   * Errors: as `count`.
   */
  shorten(text: string, keep: Keep, encoding: string): Promise<ShortText | undefined>;
  /** Loads an encoding ahead of the first count. Errors: as `count`. */
  preload(encoding: string): Promise<void>;
  /** Ends counting. Counts under way are estimated. */
  close(): Promise<void>;
}

/** How much of a text to keep. */
export interface Keep {
  readonly headTokens: number;
  readonly tailTokens: number;
  /** Tokens of the whole text, as counted. */
  readonly wholeTokens: number;
}

/** The two ends of a text. */
export interface ShortText {
  readonly head: string;
  readonly tail: string;
  /** Tokens left out, at least 1. */
  readonly cutTokens: number;
}
