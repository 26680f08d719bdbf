import { setImmediate as nextTurn } from "node:timers/promises";
import { limits } from "../limits.ts";

/**
 * Turns of the event loop that others get at a time. A call takes about ten of them from socket to
 * disk and back, so with one it would wait for ten slices of the work.
 */
const turns = 4;

/** Shares the thread during long work: other calls get their turns every few milliseconds. */
export class Turns {
  readonly #startMs = performance.now();
  #endMs = this.#startMs + limits.turnMs;

  /** Lets others work if it is time; called between steps of the work. */
  async yield(): Promise<void> {
    if (performance.now() < this.#endMs) return;
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    this.#endMs = performance.now() + limits.turnMs;
  }

  /** The work has taken as long as one call may. */
  get isSpent(): boolean {
    return performance.now() - this.#startMs > limits.filterMs;
  }
}
