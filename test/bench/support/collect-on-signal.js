/*
 * Loaded into a measured server by `--import`: at SIGUSR2 it collects garbage and says on stderr how
 * many bytes are left, so that a benchmark can tell live memory from garbage. In JavaScript, because
 * stripping types is 50 MB of Node's memory.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  process.on("SIGUSR2", () => {
    // Twice: what finalisers of the first one let go leaves with the second.
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    process.stderr.write(`live bytes ${heapUsed + external}\n`);
  });
}
