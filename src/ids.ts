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
