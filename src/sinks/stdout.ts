import { linesOf } from "./lines.ts";
import { type Sink, type SinkBatch, SinkEndedError } from "./sink.ts";

/** Where lines are written to. */
export interface LineOutput {
  /** Writes, and resolves when it has left the process. Rejects when nobody reads any more. */
  deliver(text: string): Promise<void>;
  /** Gives up what was not read: the end of the process does not wait for it. */
  abandon(): void;
}

/**
 * Writes events to stdout, a line of JSON each. A batch is delivered when the pipe has taken it, so a reader
 * that stalls holds up this sink and nothing else.
 */
export class StdoutSink implements Sink {
  readonly #output: LineOutput;
  #isWriting = false;

  constructor({ output }: { readonly output: LineOutput }) {
    this.#output = output;
  }

  /** Errors: SinkEndedError when the reader has gone away; the signal's reason. */
  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#isWriting = true;
    const written = this.#output.deliver(linesOf(batch)).then(
      () => {
        this.#isWriting = false;
      },
      (error: unknown) => {
        const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
        throw new SinkEndedError(`nobody reads stdout any more${code}`);
      },
    );
    // Also when the signal was faster.
    written.catch(() => {});
    try {
      await Promise.race([written, aborted]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Leaves behind what the reader has not taken. */
  async close(): Promise<void> {
    if (this.#isWriting) this.#output.abandon();
  }
}
