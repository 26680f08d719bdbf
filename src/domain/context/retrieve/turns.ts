import { setImmediate as nextTurn } from "node:timers/promises";
import { limits } from "../../../limits.ts";

/**
 * Shares the event loop between works that take long: each waits for its turn, one works in a turn of
 * the loop, and they take turns in the order in which they came to wait.
 */
export class Turns {
  #newest: Promise<void> = Promise.resolve();

  /** Waits for a turn. What follows must end, or wait again, within about `limits.retrievalSliceMs`. */
  next(): Promise<void> {
    this.#newest = this.#newest.then(() => nextTurn());
    return this.#newest;
  }

  /** Does steps of work until there are no more or `stopped` says so, as many in a turn as its time allows. */
  async run(steps: Iterable<unknown>, stopped: () => boolean = () => false): Promise<void> {
    let endMs = 0;
    for (const _ of steps) {
      if (performance.now() < endMs) continue;
      await this.next();
      if (stopped()) return;
      endMs = performance.now() + limits.retrievalSliceMs;
    }
  }
}
