import { type AppendEventsResponse, SessionState } from "@sessiond/contract";
import type { ClientContext } from "../context.ts";
import type { EventInput } from "../event-input.ts";
import { endedError } from "../lifecycle/end-watch.ts";
import { untilAborted } from "../lifecycle/until-aborted.ts";
import type { Session } from "../session.ts";
import type { StepDetails, StepInput } from "./step-details.ts";
import {
  outputStep,
  stepCompleted,
  stepStarted,
  toolCall,
  toText,
  wholeStep,
} from "./step-records.ts";
import { errorRecordOf } from "./thrown-error.ts";

/** What a log takes from its run. */
export interface StepLogOptions extends Pick<ClientContext, "newId" | "elapsedMs"> {
  readonly session: Session;
  /** Fires when the run is over. */
  readonly signal: AbortSignal;
}

/** Records the steps of a run in its session. */
export class StepLog {
  readonly #session: Session;
  readonly #signal: AbortSignal;
  readonly #newId: () => string;
  readonly #elapsedMs: () => number;
  /** Number of the newest step known here. */
  #newest: number;

  constructor({ session, signal, newId, elapsedMs }: StepLogOptions) {
    this.#session = session;
    this.#signal = signal;
    this.#newId = newId;
    this.#elapsedMs = elapsedMs;
    this.#newest = session.message.metrics?.steps ?? 0;
  }

  /** The next step will reach the run's limit, as far as this client knows. */
  get isAtLastStep(): boolean {
    const { maxSteps } = this.#session.message.limits ?? {};
    return maxSteps !== undefined && this.#newest + 1 >= maxSteps;
  }

  /** Records a step that is over, or a call without its work. */
  async recordWhole(step: StepInput): Promise<void> {
    await this.#append(wholeStep(step, this.#newId));
  }

  /** Records what the run gave. Errors: TypeError for a value that is neither text nor JSON. */
  async recordOutput(value: unknown): Promise<void> {
    await this.#append(outputStep(value));
  }

  /** Records a call, does its work, and records what came of it. */
  async callTool<Result>(
    { name, input, callId = this.#newId() }: StepDetails["tool_call"],
    work: () => Result | Promise<Result>,
  ): Promise<Result> {
    const type = "tool_call";
    const call = [stepStarted(type, name), toolCall({ callId, name, input })];
    const { state } = await this.#append(call);
    // A call that reached the limit is in the log, but nobody could record what comes of it.
    if (state === SessionState.LIMIT_REACHED) throw endedError(this.#session.sessionId, { state });
    const startMs = this.#elapsedMs();
    const close = (content: string, isError: boolean) => {
      const durationMs = this.#elapsedMs() - startMs;
      const status = isError ? "failed" : "succeeded";
      return this.#append([
        { toolResult: { callId, content, isError }, durationMs },
        stepCompleted({ type, name, status, durationMs }),
      ]);
    };
    try {
      const result = await untilAborted(Promise.resolve().then(work), this.#signal);
      await close(toText(result), false);
      return result;
    } catch (error) {
      // The work's own error is what the caller must see, whether it could be recorded or not.
      await close(errorRecordOf(error).message, true).catch(() => {});
      throw error;
    }
  }

  async #append(events: readonly EventInput[]): Promise<AppendEventsResponse> {
    const author = this.#session.message.agentId;
    const { message } = await this.#session.append(events.map((event) => ({ ...event, author })));
    this.#newest = Math.max(this.#newest, ...message.events.map(({ step }) => step));
    return message;
  }
}
