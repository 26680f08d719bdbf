/** Who reads under a consumer's name. */
export interface ReaderOf {
  /** What the reader calls itself; empty for nothing. */
  readonly reader: string;
  readonly openMs: number;
}

/**
 * The right of one watch to a consumer's name. It is in memory only: after a restart nobody reads.
 *
 * It ends with the watch, or when it is taken away; the watch then finds out by `signal`.
 */
export class ReaderLease implements ReaderOf {
  /** What a commit has to show. */
  readonly id: string;
  readonly reader: string;
  readonly openMs: number;
  /** When the reader last took a message or committed. */
  activeMs: number;
  readonly #ended = new AbortController();

  constructor({ id, reader, nowMs }: { id: string; reader: string; nowMs: number }) {
    this.id = id;
    this.reader = reader;
    this.openMs = nowMs;
    this.activeMs = nowMs;
  }

  /** Fires when the lease is taken away; its reason is the error that the watch ends with. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** The reader took a message or committed. */
  touch(nowMs: number): void {
    this.activeMs = nowMs;
  }

  end(why: Error): void {
    this.#ended.abort(why);
  }
}
