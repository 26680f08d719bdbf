import { createHash } from "node:crypto";
import type { BundleSummary } from "@sessiond/client/bundle";

/** Counts what a bundle holds, for the line it ends with. */
export class SummaryCounter {
  readonly #hash = createHash("sha256");
  #sessions = 0;
  #events = 0;

  add({ sessionId, events, sha256 }: { sessionId: string; events: number; sha256: string }): void {
    this.#sessions += 1;
    this.#events += events;
    this.#hash.update(`${sha256} ${JSON.stringify(sessionId)}\n`);
  }

  /** Once, at the end. */
  summary(): BundleSummary {
    return { sessions: this.#sessions, events: this.#events, sha256: this.#hash.digest("hex") };
  }
}
