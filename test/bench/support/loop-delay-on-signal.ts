/*
 * Loaded into a measured process by `--import`: at SIGUSR2 it says on stderr for how long its event
 * loop stood still at most since the last time it was asked.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  process.on("SIGUSR2", () => {
    process.stderr.write(`longest block ${delay.max / 1e6} ms\n`);
    delay.reset();
  });
}
