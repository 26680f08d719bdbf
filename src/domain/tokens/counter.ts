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
  /** Loads an encoding ahead of the first count. Errors: as `count`. */
  preload(encoding: string): Promise<void>;
  /** Ends counting. Counts under way are estimated. */
  close(): Promise<void>;
}
