import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";

/** After so much work at a stretch others get their turn. */
const sliceMs = 2;
/** While others are at work it rests so many times as long as it worked. */
const restFactor = 3;
/** A turn of the event loop that takes longer had work of others in it. */
const busyTurnMs = 0.5;

/**
 * Lets long work go on in slices, so that whoever else uses the process hardly notices: alone it works
 * without rest, beside others a quarter of the time.
 */
export class Pace {
  readonly #signal: AbortSignal;
  readonly #isBusy: () => boolean;
  #sliceStartMs = performance.now();

  /** `isBusy` says whether others were at work since it was asked last. */
  constructor(options: { signal: AbortSignal; isBusy: () => boolean }) {
    this.#signal = options.signal;
    this.#isBusy = options.isBusy;
  }

  /** To be called between pieces. Throws what the signal was aborted with. */
  async between(): Promise<void> {
    this.#signal.throwIfAborted();
    const endMs = performance.now();
    const workedMs = endMs - this.#sliceStartMs;
    if (workedMs < sliceMs) return;
    await turn();
    const turnMs = performance.now() - endMs;
    if (this.#isBusy() || turnMs > busyTurnMs) {
      await sleep(workedMs * restFactor, undefined, { signal: this.#signal });
    }
    this.#signal.throwIfAborted();
    this.#sliceStartMs = performance.now();
  }
}
