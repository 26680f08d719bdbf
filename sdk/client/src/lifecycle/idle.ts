import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Session, SessionState } from "@sessiond/contract";
import type { CallOptions } from "../call-options.ts";

/** How long a session may be idle. */
export interface IdleOptions extends CallOptions {
  /** Time since its newest event. Default: what the session's own expiry says, and no other. */
  readonly maxIdleMs?: number | undefined;
}

/** Says whether a session has expired, or has been idle for longer than allowed. */
export function isIdle(
  { state, endTime, lastActivityTime, createTime }: Session,
  { nowMs, maxIdleMs }: { nowMs: number; maxIdleMs: number },
): boolean {
  if (state === SessionState.EXPIRED) return true;
  const last = lastActivityTime ?? createTime;
  if (endTime !== undefined || last === undefined) return false;
  return nowMs - timestampMs(last) > maxIdleMs;
}
