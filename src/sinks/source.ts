import type { SinkMessage } from "./sink.ts";

/** A part of a namespace's log, and the cursor behind it. */
export interface SourcePart {
  readonly cursor: string;
  /** None: nothing of it is for the sink. */
  readonly messages: readonly SinkMessage[];
}

/** Reads one namespace for one sink, from where the sink has stopped. */
export interface SourceReader extends AsyncDisposable {
  /** Commits of the namespace that it has not read. */
  readonly lag: number;
  /**
   * Events that it passed over, because their sessions were deleted before it came to them. Commits that
   * are gone from the log, too, count as one each.
   */
  readonly missed: number;
  /** The next part; undefined at the end of the log as it is now. */
  next(): Promise<SourcePart | undefined>;
  /** All up to the cursor was delivered. */
  commit(cursor: string): Promise<void>;
}

/** Where sinks read. */
export interface Source {
  /** Namespaces in which a sink has not read everything, as of now. */
  behind(sink: string, signal: AbortSignal): AsyncIterable<string>;
  /** Calls the listener with the namespace of every commit that makes its log longer. */
  onGrowth(listener: (namespace: string) => void): () => void;
  /** Opens the reader of a sink, behind what it has committed. */
  open(args: {
    readonly namespace: string;
    readonly sink: string;
    /** In CEL over `event`; empty: all. */
    readonly filter: string;
  }): Promise<SourceReader>;
}
