import type { ReasonOptions } from "../lifecycle/transitions.ts";
import type { Session } from "../session.ts";
import { type RunEvent, runEvents } from "./run-events.ts";
import type { RunResult } from "./run-result.ts";

/**
 * A run that is under way: awaited it is what became of it, iterated its events as they become
 * durable, from the first on, also when it is over. Both, in any order, or neither.
 *
 * Awaiting it fails only when the session could not be created, its end could not be recorded, or
 * the client was closed; a failure of the work is a result. Iterating it fails as `Watch` does.
 * Leaving the loop leaves the run alone.
 *
 * ```ts
 * const run = sessiond.run({ goal: "Find a flight to Osaka" }, () => "NH 1 at 10:40");
 * for await (const { type, stepNumber, content } of run) console.log(type, stepNumber, content);
 * const { status, output, steps, error } = await run;
 * ```
 */
export class Run<T> implements PromiseLike<RunResult<T>>, AsyncIterable<RunEvent> {
  readonly #session: Promise<Session>;
  readonly #result: Promise<RunResult<T>>;

  constructor(session: Promise<Session>, result: Promise<RunResult<T>>) {
    this.#session = session;
    this.#result = result;
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaitable is what this class is for.
  then<A = RunResult<T>, B = never>(
    onResult?: ((result: RunResult<T>) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onResult, onError);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent, void, undefined> {
    const session = await this.#session;
    yield* runEvents(session.watch({ untilEnded: true }));
  }

  /**
   * Gives its session, as soon as that is created. Errors: those of `Sessions.create`.
   *
   * ```ts
   * const run = sessiond.run({ goal: "Find a flight to Osaka" }, () => "NH 1 at 10:40");
   * console.log((await run.session()).sessionId);
   * ```
   */
  session(): Promise<Session> {
    return this.#session;
  }

  /**
   * Cancels it; its signal fires. Resolves to whether this call did it. Errors: as
   * `Session.cancel`.
   *
   * ```ts
   * const run = sessiond.run({ goal: "Find a flight to Osaka" }, ({ signal }) =>
   *   fetch("https://example.org/flights", { signal }).then((response) => response.text()),
   * );
   * await run.cancel({ reason: "the user left" });
   * console.log((await run).status); // "cancelled"
   * ```
   */
  async cancel(options: ReasonOptions = {}): Promise<boolean> {
    return (await this.#session).cancel(options);
  }
}
