import { SessionState } from "@sessiond/contract";

/** Names of states, for filters and for what sinks tell. */
export const stateWords = {
  [SessionState.UNSPECIFIED]: "",
  [SessionState.CREATED]: "created",
  [SessionState.ACTIVE]: "active",
  [SessionState.COMPLETED]: "completed",
  [SessionState.FAILED]: "failed",
  [SessionState.CANCELLED]: "cancelled",
  [SessionState.TIMED_OUT]: "timed_out",
  [SessionState.LIMIT_REACHED]: "limit_reached",
  [SessionState.EXPIRED]: "expired",
} as const satisfies Record<SessionState, string>;
