import type { EventType } from "../session-event.ts";

/** Names of the events of a run. */
export type RunEventName = (typeof runEventNames)[keyof typeof runEventNames];

/**
 * The name of each payload in the stream of a run. Events with other payloads are not in it.
 *
 * The table stands in this client's README too, with the fields.
 */
export const runEventNames = {
  sessionStarted: "session_start",
  stepStarted: "step_start",
  thinking: "thinking",
  toolCall: "tool_call",
  toolResult: "tool_result",
  stepCompleted: "step_complete",
  output: "output",
  error: "error",
  sessionEnded: "done",
} as const satisfies Partial<Record<EventType, string>>;
