import type { Session } from "../session.ts";
import type { StepDetails } from "./step-details.ts";
import type { StepLog } from "./step-log.ts";
import type { StepTypeWord } from "./words.ts";

/** The work of a step; only a tool call has one. */
export type StepWork<Type extends StepTypeWord, Result> = Type extends "tool_call"
  ? () => Result | Promise<Result>
  : undefined;

/** What a run consists of. */
export interface RunParts {
  readonly session: Session;
  readonly signal: AbortSignal;
  readonly log: StepLog;
}

/** A run from the inside: what the work records its steps with. */
export class ActiveRun {
  /** The run's session, for everything else. */
  readonly session: Session;
  /**
   * Fires when the run is over for any reason but the end of its work: cancelled by whomever, timed
   * out, at a limit, its client closed. Give it to everything that takes a signal.
   */
  readonly signal: AbortSignal;
  readonly #log: StepLog;

  constructor({ session, signal, log }: RunParts) {
    this.session = session;
    this.signal = signal;
    this.#log = log;
  }

  /**
   * Records a step.
   *
   * A `tool_call` with its work is recorded before the work begins, and as a `tool_result` when it
   * is done, with the time it took: two steps. It resolves to what the work gives and throws what
   * the work throws. When the run is over while the work is under way it rejects at once, and what
   * the work gives then is not recorded.
   *
   * Errors: those of the work; SessionEndedError when the run is over, EventTooLargeError,
   * InvalidFieldError.
   *
   * ```ts
   * await sessiond.run({ goal: "Find a flight to Osaka" }, async (run) => {
   *   await run.step("thinking", "I need the flights of that day");
   *   const input = { to: "KIX" };
   *   const flights = await run.step("tool_call", { name: "flights", input }, async () => {
   *     const response = await fetch("https://example.org/flights", { signal: run.signal });
   *     return response.text();
   *   });
   *   if (flights === "") await run.step("error", { message: "no flights", retryable: true });
   *   return flights;
   * });
   * ```
   */
  async step<Type extends StepTypeWord, Result>(
    type: Type,
    details: StepDetails[Type],
    work?: StepWork<Type, Result>,
  ): Promise<Result> {
    const given = { type, details, work } as AnyStep<Result>;
    if (given.type === "tool_call" && given.work !== undefined) {
      return this.#log.callTool(given.details, given.work);
    }
    await this.#log.recordWhole(given);
    return undefined as Result;
  }
}

/** A type with what belongs to it. */
type AnyStep<Result> = {
  readonly [Type in StepTypeWord]: {
    readonly type: Type;
    readonly details: StepDetails[Type];
    readonly work: StepWork<Type, Result> | undefined;
  };
}[StepTypeWord];
