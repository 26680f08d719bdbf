import { limits } from "../limits.ts";

/**
 * How long to wait before a batch is delivered again, after so many failures in a row: twice as long each
 * time, up to a minute, spread so that those who failed together do not come back together. A receiver that
 * says when is waited for, at most for the longest pause.
 */
export function pauseMs(
  failures: number,
  args: {
    readonly firstMs: number;
    readonly askedMs: number | undefined;
    readonly random: () => number;
  },
): number {
  const { firstMs, askedMs, random } = args;
  const usualMs = firstMs * 2 ** Math.min(failures - 1, 20);
  const spreadMs = Math.min(usualMs, limits.sinkRetryMaxMs) * (0.5 + random() / 2);
  return Math.min(Math.max(spreadMs, askedMs ?? 0), limits.sinkRetryMaxMs);
}
