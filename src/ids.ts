import { randomBytes } from "node:crypto";
import { v7 } from "uuid";

/** Where fresh names come from; tests pass their own. */
export interface Ids {
  /** UUIDv7 (RFC 9562), so that logs of sessions created together lie together on disk. */
  uid(): string;
  /** Name for a session nobody named: `session-YYYYMMDD-HHMMSS-<8 hex>`, in UTC. */
  sessionId(nowMs: number): string;
}

export const randomIds: Ids = {
  uid: () => v7(),
  sessionId(nowMs) {
    const [date, time] = new Date(nowMs).toISOString().slice(0, 19).replace(/[-:]/g, "").split("T");
    return `session-${date}-${time}-${randomBytes(4).toString("hex")}`;
  },
};

/** Milliseconds since 1970; tests pass a fake. */
export type Clock = () => number;

/**
 * A wall clock that does not stop or run backwards when the system's is set back: it goes on by the
 * time that passes. When the system's clock is ahead of it, for example after a sleep, it follows.
 * A restart begins with the system's clock again.
 */
export function steadyClock(
  wallMs: Clock = Date.now,
  passedMs: () => number = () => performance.now(),
): Clock {
  let startMs = wallMs() - passedMs();
  return () => {
    const passed = passedMs();
    startMs = Math.max(startMs, wallMs() - passed);
    return Math.floor(startMs + passed);
  };
}
