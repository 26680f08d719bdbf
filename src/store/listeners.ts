import type { Committed } from "./store.ts";

/** Those who want to hear of commits. */
export class CommitListeners {
  readonly #listeners = new Set<(committed: Committed) => void>();

  /** Adds a listener; the function returned removes it. */
  add(listener: (committed: Committed) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls every listener. One that throws does not keep the commit from the others. */
  notify(committed: Committed): void {
    for (const listener of this.#listeners) {
      try {
        listener(committed);
      } catch (error) {
        // A defect of the listener, to be seen as one, but not in the middle of acknowledging.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
