import { keyOf, type SessionName } from "./session-cells.ts";

/** Keeps batches that are counted side by side in the order they were sent. */
export interface Order {
  /** Resolves when the batch before is decided on; rejects when the stream that it came in has failed. */
  readonly turn: Promise<void>;
  /** Says that this batch is decided on. */
  decided(): void;
}

/**
 * Has the appends of a session that are under way at once decided on in the order they came. How long the
 * texts of one take to be counted depends on what is in them.
 */
export class AppendOrders {
  /** Resolves when the newest append of a session is decided on, by the session's name. */
  readonly #newest = new Map<string, Promise<void>>();

  /** Runs an append behind those of its session that came before. Errors: those of `append`. */
  async run<T>(name: SessionName, append: (order: Order) => Promise<T>): Promise<T> {
    const key = keyOf(name);
    const turn = this.#newest.get(key) ?? Promise.resolve();
    const decision = Promise.withResolvers<void>();
    this.#newest.set(key, decision.promise);
    try {
      return await append({ turn, decided: decision.resolve });
    } finally {
      // One that failed, or was answered before, is decided on, too.
      decision.resolve();
      if (this.#newest.get(key) === decision.promise) this.#newest.delete(key);
    }
  }
}
