/**
 * Lets calls begin a few at a time, in the order they came.
 *
 * Many requests come in one piece from a connection. Were all of them worked on at once, nothing else
 * would happen until the last one is: no commit would be on its way to the disk and no answer on its way to
 * the client, who waits for one to send the next. So after a few the event loop gets its turn.
 */
export class CallTurns {
  readonly #atOnce: number;
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;

  /** `atOnce`: calls that begin before the event loop gets its turn. */
  constructor({ atOnce }: { atOnce: number }) {
    this.#atOnce = atOnce;
  }

  /** Resolves when the caller may begin; at the end of what runs now, if none began just before. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      // Behind all requests of one piece, so that those of a turn are committed together.
      process.nextTick(() => this.#begin());
    });
  }

  #begin(): void {
    for (const begin of this.#waiting.splice(0, this.#atOnce)) begin();
    setImmediate(() => {
      if (this.#waiting.length > 0) this.#begin();
      else this.#isScheduled = false;
    });
  }
}
