import type { Encoding } from "./protocol.ts";
import { type Slice, slices } from "./slices.ts";

/** Texts up to this many UTF-16 units are counted at once; longer ones take turns by slices. */
const shortLength = 8 * 1024;

/** One text to count. */
export interface Job {
  readonly id: number;
  readonly text: string;
  readonly encoding: Encoding;
}

export interface Result {
  readonly id: number;
  readonly count: number;
  readonly estimated: boolean;
}

interface Running extends Job {
  readonly rest: Iterator<Slice, void, undefined>;
  count: number;
  estimated: boolean;
}

/**
 * Counts texts in turns, so that a long text holds up no short one.
 *
 * Each turn takes short texts in the order they came, then one share of the long text that has
 * waited longest. Both end at the turn's time limit, so new texts can arrive between turns; a
 * short load without end still leaves the long texts a share of every turn.
 */
export class FairQueue {
  readonly #countTokens: (text: string, encoding: Encoding) => number;
  readonly #nowMs: () => number;
  readonly #turnMs: number;
  #short: Job[] = [];
  readonly #long: Running[] = [];

  constructor(options: {
    /** Counts a text that is cheap enough to be counted in one go. */
    countTokens: (text: string, encoding: Encoding) => number;
    nowMs: () => number;
    /** After this time no further text or slice is begun in a turn. */
    turnMs: number;
  }) {
    this.#countTokens = options.countTokens;
    this.#nowMs = options.nowMs;
    this.#turnMs = options.turnMs;
  }

  get isEmpty(): boolean {
    return this.#short.length === 0 && this.#long.length === 0;
  }

  add(job: Job): void {
    if (job.text.length <= shortLength) this.#short.push(job);
    else this.#long.push(start(job));
  }

  /** Works for one turn and returns what became ready. */
  turn(): Result[] {
    const results: Result[] = [];
    const shortEndMs = this.#nowMs() + this.#turnMs;
    let taken = 0;
    for (const job of this.#short) {
      if (taken > 0 && this.#nowMs() >= shortEndMs) break;
      taken += 1;
      const running = start(job);
      let more = true;
      while (more) more = this.#advance(running);
      results.push(running);
    }
    this.#short = this.#short.slice(taken);

    const next = this.#long.shift();
    if (next === undefined) return results;
    const longEndMs = this.#nowMs() + this.#turnMs;
    let more = this.#advance(next);
    while (more && this.#nowMs() < longEndMs) more = this.#advance(next);
    if (more) this.#long.push(next);
    else results.push(next);
    return results;
  }

  /** Counts one slice; false when there was none left. */
  #advance(running: Running): boolean {
    const next = running.rest.next();
    if (next.done) return false;
    running.count += this.#countTokens(next.value.text, running.encoding);
    running.estimated ||= next.value.estimated;
    return true;
  }
}

function start(job: Job): Running {
  return { ...job, rest: slices(job.text, job.encoding), count: 0, estimated: false };
}
