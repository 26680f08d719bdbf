/**
 * Applies commits a turn of the event loop after they were called, in order and many at a time: the
 * latency of an engine with a disk, so that code which forgets about it fails with this one, too.
 */
export class CommitQueue {
  #queue: (() => void)[] = [];
  #idle: Promise<void> = Promise.resolve();

  /** Resolves with what the function gives, when it has run after those queued before. */
  add<T>(apply: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#queue.push(() => {
      try {
        resolve(apply());
      } catch (error) {
        reject(error);
      }
    });
    if (this.#queue.length === 1) this.#idle = this.#flushLater();
    return promise;
  }

  /** Resolves when nothing is queued. */
  idle(): Promise<void> {
    return this.#idle;
  }

  async #flushLater(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const queue = this.#queue;
    this.#queue = [];
    for (const run of queue) run();
  }
}
