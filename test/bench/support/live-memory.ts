import { setTimeout as sleep } from "node:timers/promises";
import type { ServerProcess } from "../../support/server-process.ts";
import { anonymousBytes } from "./process-stats.ts";

/** Environment of a server whose garbage can be collected from outside. */
export const collectable = {
  NODE_OPTIONS: `--import=${new URL("./collect-on-signal.js", import.meta.url).href}`,
};

/** Memory of a server right after its garbage was collected. */
export interface LiveMemory {
  /** What the JavaScript engine holds, on its heap and outside of it. */
  readonly liveBytes: number;
  /** What the process holds from the kernel, without mapped files. */
  readonly residentBytes: number;
}

/** Collects the garbage of a server that was started with `collectable`, and measures it. */
export async function liveMemory(server: ServerProcess): Promise<LiveMemory> {
  const said = () => [...server.stderr().matchAll(/^live bytes (\d+)$/gm)];
  const before = said().length;
  process.kill(server.pid, "SIGUSR2");
  const deadlineMs = performance.now() + 10_000;
  while (said().length === before) {
    if (performance.now() > deadlineMs) throw new Error("the server did not say its memory");
    await sleep(10);
  }
  return {
    liveBytes: Number(said().at(-1)?.[1]),
    residentBytes: anonymousBytes(server.pid),
  };
}
