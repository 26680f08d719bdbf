import { type Session, SessionState, StepStatus, StepType } from "@sessiond/contract";

/** What became of a run. */
export type RunStatus =
  | "created"
  | "running"
  | "completed"
  | "failed"
  | "cancelled"
  | "timeout"
  | "max_steps_reached"
  | "max_tokens_reached"
  | "expired";

/** What kind of step. */
export type StepTypeWord = keyof typeof stepTypes;

/** Whether a step worked. */
export type StepStatusWord = keyof typeof stepStatuses;

export const stepTypes = {
  thinking: StepType.THINKING,
  tool_call: StepType.TOOL_CALL,
  tool_result: StepType.TOOL_RESULT,
  output: StepType.OUTPUT,
  error: StepType.ERROR,
} as const;

export const stepStatuses = {
  succeeded: StepStatus.SUCCEEDED,
  failed: StepStatus.FAILED,
  cancelled: StepStatus.CANCELLED,
} as const;

/**
 * Status of a run, by state and end of its session. Undefined for a state or a limit newer than
 * this client.
 */
export function runStatusOf({ state, end }: Pick<Session, "state" | "end">): RunStatus | undefined {
  if (state !== SessionState.LIMIT_REACHED) return statusByState[state];
  return end === undefined ? undefined : statusByLimit[end.limit];
}

const statusByState: Readonly<Partial<Record<SessionState, RunStatus>>> = {
  [SessionState.CREATED]: "created",
  [SessionState.ACTIVE]: "running",
  [SessionState.COMPLETED]: "completed",
  [SessionState.FAILED]: "failed",
  [SessionState.CANCELLED]: "cancelled",
  [SessionState.TIMED_OUT]: "timeout",
  [SessionState.EXPIRED]: "expired",
};

const statusByLimit: Readonly<Record<string, RunStatus>> = {
  max_steps: "max_steps_reached",
  max_tokens: "max_tokens_reached",
};
