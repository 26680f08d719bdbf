import { CommitUnknownError } from "../../errors.ts";
import { driverCause } from "./errors.ts";
import type { Write } from "./tables.ts";

interface Pending {
  readonly submittedAtMs: number;
  readonly onDurable: () => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  durable: boolean;
}

/** Writes beside those that were submitted, and who wants to know when they are on disk. */
export interface Companion {
  readonly writes: readonly Write[];
  readonly onDurable: () => void;
}

/** What was submitted and is handed over at the end of this turn. */
interface Batch {
  readonly writes: Write[];
  readonly entries: Pending[];
}

/** Hears how writes fare. */
export interface WriteObserver {
  /** A write was on disk so long after it was handed over. */
  written(seconds: number): void;
  /** So many were on disk together. */
  settled(writes: number): void;
}

/**
 * Hands writes to the disk and acknowledges them in the order they came.
 *
 * Those that are submitted before the program next waits for anything are handed over together, and with
 * them what their companion writes about all of them.
 *
 * As soon as one fails, or does not settle in time, nothing is known about it and what follows:
 * every pending and later one is rejected with CommitUnknownError, and nothing is acknowledged any
 * more. The process has to end; the next start finds what is really stored.
 */
export class Committer {
  readonly #write: (writes: readonly Write[]) => Promise<void>;
  readonly #timeoutMs: number;
  readonly #observer: WriteObserver | undefined;
  readonly #companion: () => Companion | undefined;
  #batch: Batch | undefined;
  /** Writes that were on disk in this turn of the event loop. */
  #settled = 0;
  readonly #pending: Pending[] = [];
  readonly #failureListeners = new Set<(error: Error) => void>();
  readonly #idleWaiters: (() => void)[] = [];
  #failure: CommitUnknownError | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    /** Applies writes together, in their order and that of the calls; resolves when they are durable. */
    write: (writes: readonly Write[]) => Promise<void>;
    timeoutMs: number;
    /** Asked for what else is written with a batch. Default: nothing. */
    companion?: () => Companion | undefined;
    /** Absent: nobody hears. */
    observer?: WriteObserver | undefined;
  }) {
    this.#observer = options.observer;
    this.#write = options.write;
    this.#companion = options.companion ?? (() => undefined);
    this.#timeoutMs = options.timeoutMs;
  }

  /**
   * Writes together. `onDurable` runs when these and all earlier writes are on disk, before the
   * promise resolves.
   *
   * Errors: CommitUnknownError.
   */
  submit(writes: readonly Write[], onDurable: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const entry: Pending = {
        submittedAtMs: performance.now(),
        onDurable,
        resolve,
        reject,
        durable: false,
      };
      this.#pending.push(entry);
      this.#timer ??= setTimeout(() => this.#checkTime(), this.#timeoutMs);
      const batch = this.#openBatch();
      for (const write of writes) batch.writes.push(write);
      batch.entries.push(entry);
    });
  }

  #openBatch(): Batch {
    if (this.#batch === undefined) {
      this.#batch = { writes: [], entries: [] };
      // Behind all that this turn resolves, and before the driver closes its own batch.
      process.nextTick(() => this.#handOver());
    }
    return this.#batch;
  }

  #handOver(): void {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch === undefined || this.#failure !== undefined) return;
    const companion = this.#companion();
    for (const write of companion?.writes ?? []) batch.writes.push(write);
    this.#write(batch.writes).then(
      () => {
        companion?.onDurable();
        for (const entry of batch.entries) entry.durable = true;
        this.#acknowledge();
      },
      async (error: unknown) => this.fail(await driverCause(error)),
    );
  }

  /** Calls the listener once, at the first failure. */
  onFailure(listener: (error: Error) => void): () => void {
    this.#failureListeners.add(listener);
    return () => this.#failureListeners.delete(listener);
  }

  get failure(): CommitUnknownError | undefined {
    return this.#failure;
  }

  /** How long the oldest pending write has waited; 0 when none is pending. */
  get oldestMs(): number {
    const [oldest] = this.#pending;
    return oldest === undefined ? 0 : performance.now() - oldest.submittedAtMs;
  }

  /** Waits until nothing is pending. */
  idle(): Promise<void> {
    if (this.#pending.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #acknowledge(): void {
    if (this.#failure !== undefined) return;
    while (this.#pending[0]?.durable === true) {
      const entry = this.#pending.shift();
      if (this.#observer !== undefined && entry !== undefined) this.#note(this.#observer, entry);
      entry?.onDurable();
      entry?.resolve();
    }
    this.#settleIdle();
  }

  #note(observer: WriteObserver, { submittedAtMs }: Pending): void {
    observer.written((performance.now() - submittedAtMs) / 1_000);
    this.#settled += 1;
    // The driver settles the writes of one transaction in one turn.
    if (this.#settled > 1) return;
    setImmediate(() => {
      observer.settled(this.#settled);
      this.#settled = 0;
    });
  }

  #settleIdle(): void {
    if (this.#pending.length > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** One timer for all: looks at the oldest and sleeps until that one could be late. */
  #checkTime(): void {
    this.#timer = undefined;
    const oldest = this.#pending[0];
    if (oldest === undefined) return;
    const leftMs = oldest.submittedAtMs + this.#timeoutMs - performance.now();
    if (leftMs > 0) this.#timer = setTimeout(() => this.#checkTime(), leftMs);
    else this.fail(new Error(`a commit did not settle within ${this.#timeoutMs} ms`));
  }

  /** Fails everything pending and to come; gives the error for it. */
  fail(cause: unknown): CommitUnknownError {
    if (this.#failure !== undefined) return this.#failure;
    const failure = new CommitUnknownError(cause);
    this.#failure = failure;
    for (const entry of this.#pending.splice(0)) entry.reject(failure);
    this.#settleIdle();
    for (const listener of this.#failureListeners) listener(failure);
    this.#failureListeners.clear();
    return failure;
  }
}
