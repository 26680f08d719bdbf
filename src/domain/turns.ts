import { setImmediate as nextTurn } from "node:timers/promises";
import { limits } from "../limits.ts";

/** Shares the thread during long work: other calls get their turn every few milliseconds. */
export class Turns {
  readonly #startMs = performance.now();
  #endMs = this.#startMs + limits.turnMs;

  /** Lets others work if it is time; called between steps of the work. */
  async yield(): Promise<void> {
    if (performance.now() < this.#endMs) return;
    await nextTurn();
    this.#endMs = performance.now() + limits.turnMs;
  }

  /** The work has taken as long as one call may. */
  get isSpent(): boolean {
    return performance.now() - this.#startMs > limits.filterMs;
  }
}
