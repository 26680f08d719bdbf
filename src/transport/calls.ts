import { ShuttingDownError } from "../errors.ts";

/**
 * Calls that are running, over both front doors, so that a shutdown can wait for them.
 *
 * Calls of the health and reflection services are not counted: a health watch never ends.
 */
export class Calls {
  #running = 0;
  #closed = false;
  #idle: (() => void) | undefined;

  /** No new call is taken. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Takes a call; the caller owes an `end()`. Throws ShuttingDownError once closed. */
  begin(): void {
    if (this.#closed) {
      throw new ShuttingDownError();
    }
    this.#running++;
  }

  end(): void {
    this.#running--;
    if (this.#running === 0) {
      this.#idle?.();
    }
  }

  /** Takes no more calls; resolves when the running ones have ended. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#running === 0
      ? Promise.resolve()
      : new Promise((resolve) => {
          this.#idle = resolve;
        });
  }
}
