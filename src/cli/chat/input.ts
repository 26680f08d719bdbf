/** Where the messages of a chat come from. Ends with its scope. */
export interface ChatInput extends Disposable {
  /**
   * The next message; undefined when there are no more.
   *
   * Errors: CommandError for what is no text.
   */
  next(): Promise<string | undefined>;
  /** Does some work for a message. The signal fires when it is to be given up. */
  during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}
