import { ShuttingDownError, StoreBusyError } from "../../errors.ts";

/**
 * Runs long operations, of each kind one at a time.
 *
 * One ends with its last message, with an error, with its caller, or at a shutdown.
 */
export class Exclusive<Operation extends "verify" | "backup"> {
  readonly #shutdown: AbortSignal;
  readonly #running = new Map<Operation, { leave: () => void; ended: Promise<void> }>();

  constructor(shutdown: AbortSignal) {
    this.#shutdown = shutdown;
  }

  /** Errors: StoreBusyError, ShuttingDownError, and those of the work. */
  async *run<T>(
    operation: Operation,
    caller: AbortSignal,
    work: (signal: AbortSignal) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    if (this.#running.has(operation)) throw new StoreBusyError({ operation });
    if (this.#shutdown.aborted) throw new ShuttingDownError();
    const stop = new AbortController();
    const ended = Promise.withResolvers<void>();
    const messages = untilEnd(work(stop.signal), () => {
      this.#running.delete(operation);
      ended.resolve();
    });
    const shutDown = () => stop.abort(new ShuttingDownError());
    // A caller that has vanished asks for no further message: nobody else would end the work.
    const leave = () => {
      stop.abort(caller.reason);
      messages.return(undefined).catch(() => {});
    };
    this.#running.set(operation, { leave, ended: ended.promise });
    this.#shutdown.addEventListener("abort", shutDown, { once: true });
    caller.addEventListener("abort", leave, { once: true });
    if (caller.aborted) leave();
    try {
      yield* messages;
    } finally {
      this.#shutdown.removeEventListener("abort", shutDown);
      caller.removeEventListener("abort", leave);
    }
  }

  /** Ends what is running, and waits for it: also for one whose caller takes no message any more. */
  async close(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { leave } of running) leave();
    await Promise.all(running.map(({ ended }) => ended));
  }
}

async function* untilEnd<T>(work: AsyncGenerator<T>, atEnd: () => void): AsyncGenerator<T> {
  try {
    yield* work;
  } finally {
    atEnd();
  }
}
