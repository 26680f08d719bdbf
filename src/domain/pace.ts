import { setTimeout as sleep } from "node:timers/promises";

/**
 * Sessions of one batch, and the rest between batches, where many sessions are changed beside the
 * calls. Ten thousand sessions take about ten seconds; with batches of 64, in four, the slowest
 * hundredth of appends meanwhile took five times as long.
 */
export const batchSessions = 8;
export const paceMs = 5;

/**
 * Works through items in small batches with rests in between. After an error the batch is finished
 * and no other begun.
 *
 * Errors: the first of `work`.
 */
export async function paced<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += batchSessions) {
    const done = await Promise.allSettled(items.slice(at, at + batchSessions).map(work));
    const failed = done.find((one) => one.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    if (at + batchSessions < items.length) await sleep(paceMs, undefined, { ref: false });
  }
}
