import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Session } from "@sessiond/client";

/** A time to come, as people say it: `2 s`, `45 min`, `3 h`, `4 days`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

/** Milliseconds until a session expires; undefined: it never does. */
export function leftMs({ message }: Session, nowMs: number): number | undefined {
  const { expireTime } = message;
  return expireTime === undefined ? undefined : timestampMs(expireTime) - nowMs;
}

/** Milliseconds a session had left at its newest event, whatever the clock of this machine says. */
export function leftAfterActivityMs({ message }: Session): number | undefined {
  const { expireTime, lastActivityTime } = message;
  if (expireTime === undefined || lastActivityTime === undefined) return undefined;
  return timestampMs(expireTime) - timestampMs(lastActivityTime);
}
