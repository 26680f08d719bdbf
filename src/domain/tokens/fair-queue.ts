/** Texts up to this many UTF-16 units are done at once; longer ones take turns by steps. */
const shortLength = 8 * 1024;

/** Work on one text. Each step is short. */
export interface Job<Result> {
  /** UTF-16 units of the text. */
  readonly length: number;
  readonly steps: Iterator<undefined, Result, undefined>;
}

/**
 * Works on texts in turns, so that a long text holds up no short one.
 *
 * Each turn takes short texts in the order they came, then one share of the long text that has
 * waited longest. Both end at the turn's time limit, so new texts can arrive between turns; a
 * short load without end still leaves the long texts a share of every turn.
 */
export class FairQueue<Result> {
  readonly #nowMs: () => number;
  readonly #turnMs: number;
  #short: Job<Result>[] = [];
  /** Short texts that were taken, at the front of their list. */
  #taken = 0;
  readonly #long: Job<Result>[] = [];

  constructor(options: {
    nowMs: () => number;
    /** After this time no further text or step is begun in a turn. */
    turnMs: number;
  }) {
    this.#nowMs = options.nowMs;
    this.#turnMs = options.turnMs;
  }

  get isEmpty(): boolean {
    return this.#taken === this.#short.length && this.#long.length === 0;
  }

  add(job: Job<Result>): void {
    if (job.length <= shortLength) this.#short.push(job);
    else this.#long.push(job);
  }

  /** Works for one turn and returns what became ready. */
  turn(): Result[] {
    const results: Result[] = [];
    const shortEndMs = this.#nowMs() + this.#turnMs;
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      let step = job.steps.next();
      while (!step.done) step = job.steps.next();
      results.push(step.value);
      if (this.#nowMs() >= shortEndMs) break;
    }

    const next = this.#long.shift();
    if (next === undefined) return results;
    const longEndMs = this.#nowMs() + this.#turnMs;
    let step = next.steps.next();
    while (!step.done && this.#nowMs() < longEndMs) step = next.steps.next();
    if (step.done) results.push(step.value);
    else this.#long.push(next);
    return results;
  }

  /** Takes the short text that came first. */
  #next(): Job<Result> | undefined {
    const job = this.#short[this.#taken];
    if (job !== undefined) this.#taken += 1;
    // Seldom, or a long queue would be copied again and again.
    if (this.#taken * 2 > this.#short.length) {
      this.#short = this.#short.slice(this.#taken);
      this.#taken = 0;
    }
    return job;
  }
}
