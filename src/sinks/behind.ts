const shortestRestMs = 20;

/**
 * Namespaces of which a sink has not delivered everything, in the order of their turns. One that is not
 * behind takes no memory.
 *
 * A namespace gets its turn a moment after it has grown, so that what comes in quick succession goes out
 * together.
 */
export class Behind {
  readonly #lingerMs: number;
  readonly #waiting = new Map<string, { lag: number; readonly dueMs: number }>();
  /** Namespace whose turn it is, and its lag. */
  #serving: { readonly namespace: string; lag: number } | undefined;
  #wake = () => {};
  #onEmpty = () => {};
  #hurries = false;
  #restingUntilMs = 0;
  #restMs = 0;
  #isClosed = false;

  constructor({ lingerMs }: { readonly lingerMs: number }) {
    this.#lingerMs = lingerMs;
  }

  /** Commits that were not delivered; of namespaces that wait for their first turn those of this run. */
  get commits(): number {
    let commits = this.#serving?.lag ?? 0;
    for (const { lag } of this.#waiting.values()) commits += lag;
    return commits;
  }

  /** A commit was added to a namespace. */
  grew(namespace: string): void {
    if (this.#serving?.namespace === namespace) {
      this.#serving.lag++;
      return;
    }
    const known = this.#waiting.get(namespace);
    if (known === undefined) this.#add(namespace, 1);
    else known.lag++;
  }

  /** A namespace has something that was not delivered before the start. */
  isBehind(namespace: string): void {
    if (this.#serving?.namespace === namespace || this.#waiting.has(namespace)) return;
    this.#add(namespace, 0);
  }

  /** The one whose turn it is, as soon as there is one; undefined after `close`. */
  async next(): Promise<string | undefined> {
    while (!this.#isClosed) {
      const [first] = this.#waiting;
      if (first === undefined) {
        this.#onEmpty();
        await this.#woken(undefined);
        continue;
      }
      const [namespace, { lag, dueMs }] = first;
      const fromMs = Math.max(dueMs, this.#restingUntilMs);
      const waitMs = this.#hurries ? 0 : fromMs - performance.now();
      if (waitMs > 0) {
        await this.#woken(waitMs);
        continue;
      }
      this.#waiting.delete(namespace);
      this.#serving = { namespace, lag };
      return namespace;
    }
    return undefined;
  }

  /** What the namespace whose turn it is lacks now. */
  lacks(lag: number): void {
    if (this.#serving !== undefined) this.#serving.lag = lag;
  }

  /** The turn is over; who still lacks something has another one behind the others. */
  served(): void {
    const { namespace, lag } = this.#serving ?? { namespace: "", lag: 0 };
    this.#serving = undefined;
    if (lag > 0) this.#add(namespace, lag);
  }

  /** Has the next turn wait so long; short times add up first, because timers are coarse. */
  rest(ms: number): void {
    this.#restMs += ms;
    if (this.#restMs < shortestRestMs) return;
    this.#restingUntilMs = performance.now() + this.#restMs;
    this.#restMs = 0;
  }

  /** Nobody waits any more before a turn. Resolves when nothing is behind. */
  hurry(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    this.#hurries = true;
    if (this.#waiting.size === 0 && this.#serving === undefined) resolve();
    this.#wake();
    return promise;
  }

  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  #add(namespace: string, lag: number): void {
    this.#waiting.set(namespace, { lag, dueMs: performance.now() + this.#lingerMs });
    if (this.#waiting.size === 1) this.#wake();
  }

  /** Resolves when something has changed, or after a time. */
  #woken(afterMs: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = afterMs === undefined ? undefined : setTimeout(resolve, Math.ceil(afterMs));
    this.#wake = () => {
      clearTimeout(timer);
      resolve();
    };
    return promise;
  }
}
