import { performance } from "node:perf_hooks";
import { limits } from "../limits.ts";

/** From this share of busy time on, what sinks do is missing to the calls. */
const busyShare = 0.8;
/** Looks at shorter times say little. */
const windowMs = 20;

/**
 * Leaves the thread to the calls while it is busy: all sinks together then take about a tenth of it, and
 * catch up when it has time.
 */
export class Pace {
  readonly #sinks: number;
  #seen = performance.eventLoopUtilization();
  #isBusy = false;

  constructor({ sinks }: { readonly sinks: number }) {
    this.#sinks = sinks;
  }

  get isBusy(): boolean {
    const { idle, active, utilization } = performance.eventLoopUtilization(this.#seen);
    if (idle + active >= windowMs) {
      this.#seen = performance.eventLoopUtilization();
      this.#isBusy = utilization > busyShare;
    }
    return this.#isBusy;
  }

  /** How long a sink that has worked so long is to rest. */
  restMs(workedMs: number): number {
    if (!this.isBusy) return 0;
    return Math.min(workedMs * this.#sinks * limits.sinkRestFactor, limits.sinkRestMs);
  }
}
