import type { Session } from "../session.ts";
import type { Step } from "./steps.ts";
import type { ErrorRecord } from "./thrown-error.ts";
import { type RunStatus, runStatusOf } from "./words.ts";

/** What became of a run. */
export interface RunResult<T> {
  /** Undefined for an end newer than this client. */
  readonly status: RunStatus | undefined;
  /** What the work gave; undefined when the run was over before that. */
  readonly output: T | undefined;
  /** All its steps, in order. */
  readonly steps: readonly Step[];
  /** What it failed with; undefined unless `status` is "failed". */
  readonly error: RunError | undefined;
  /** Why it ended, in words; empty when nobody said. */
  readonly reason: string;
  readonly usage: RunUsage;
  readonly sessionId: string;
}

/** What a run failed with. */
export interface RunError extends ErrorRecord {
  /** What the work threw, if it did. */
  readonly cause: unknown;
}

/** Tokens of a run. */
export interface RunUsage {
  /** Of all events, as the server counted them. */
  readonly totalTokens: number;
  /** Of these, what the model read. */
  readonly inputTokens: number;
  /** Of these, what the model wrote. */
  readonly outputTokens: number;
  /** What providers reported; 0 when none did. */
  readonly reportedInputTokens: number;
  readonly reportedOutputTokens: number;
  /** In the currency of the reports. */
  readonly reportedCost: number;
}

/** What the work of a run came to. */
export type Outcome<T> =
  | { readonly output: T | undefined; readonly thrown?: never }
  | { readonly thrown: { readonly error: unknown }; readonly output?: never };

/** Puts together what an ended session and the work say. */
export async function readResult<T>(
  session: Session,
  { output, thrown }: Outcome<T>,
): Promise<RunResult<T>> {
  const steps: Step[] = [];
  for await (const step of session.steps({ pageSize: 1_000 })) steps.push(step);
  const { message, sessionId } = session;
  const { end, metrics } = message;
  const status = runStatusOf(message);
  const { errorCode = "", errorMessage = "", reason = "" } = end ?? {};
  return {
    status,
    output,
    steps,
    error:
      status === "failed"
        ? { code: errorCode, message: errorMessage, cause: thrown?.error }
        : undefined,
    reason,
    usage: {
      totalTokens: metrics?.tokens?.total ?? 0,
      inputTokens: metrics?.tokens?.input ?? 0,
      outputTokens: metrics?.tokens?.output ?? 0,
      reportedInputTokens: metrics?.tokens?.reportedInput ?? 0,
      reportedOutputTokens: metrics?.tokens?.reportedOutput ?? 0,
      reportedCost: metrics?.tokens?.reportedCost ?? 0,
    },
    sessionId,
  };
}
