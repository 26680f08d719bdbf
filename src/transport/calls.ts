import { ShuttingDownError, TooManyCallsError } from "../errors.ts";
import { limits } from "../limits.ts";
import { CallTurns } from "./call-turns.ts";

/** A unary call ends by itself; a stream ends when its reader has taken the last of it. */
export type CallKind = "unary" | "stream";

/**
 * Calls that are running, over both front doors, so that there are not too many of them and a
 * shutdown can wait for them.
 *
 * Calls of the health and reflection services are not counted: a health watch never ends.
 */
export class Calls {
  readonly #running = { unary: 0, stream: 0 };
  readonly #idle: (() => void)[] = [];
  readonly #turns = new CallTurns({ atOnce: limits.callsAtOnce });
  #closed = false;

  /** No new call is taken. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Calls that are running now. */
  get running(): Readonly<Record<CallKind, number>> {
    return this.#running;
  }

  /**
   * Takes a call; the caller owes an `end()` of the same kind.
   *
   * Errors: ShuttingDownError once closed; TooManyCallsError. Streams have bounds of their own.
   */
  begin(kind: CallKind): void {
    if (this.#closed) {
      throw new ShuttingDownError();
    }
    if (kind === "unary" && this.#running.unary >= limits.calls) {
      throw new TooManyCallsError({ limit: limits.calls });
    }
    this.#running[kind]++;
  }

  /** Resolves when a unary call that was taken may begin. Calls begin in the order they were taken. */
  turn(): Promise<void> {
    return this.#turns.next();
  }

  end(kind: CallKind): void {
    this.#running[kind]--;
    if (this.#running[kind] === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** Takes no more calls. */
  close(): void {
    this.#closed = true;
  }

  /** Resolves when none of these kinds is running. */
  async ended(...kinds: readonly CallKind[]): Promise<void> {
    while (kinds.some((kind) => this.#running[kind] > 0)) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }
}
