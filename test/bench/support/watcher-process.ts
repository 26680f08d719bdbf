import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { WatchRequest } from "./raw-client.ts";

/** What the process is told, as JSON. */
export interface WatcherTask {
  readonly address: string;
  readonly requests: readonly Pick<WatchRequest, "sessionId" | "start">[];
  readonly connections: number;
  /** Whether it reads on once all watches are open. */
  readonly reads: boolean;
}

export interface WatcherProcess extends AsyncDisposable {
  /** Stops the process as a debugger does: its sockets stay open and nobody reads them. */
  freeze(): void;
}

const file = fileURLToPath(new URL("./watcher.ts", import.meta.url));

/** Opens watches in a process of its own, so that reading them does not delay who measures. */
export async function startWatchers(task: WatcherTask): Promise<WatcherProcess> {
  const child = spawn(process.execPath, [file], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  child.stdin.end(JSON.stringify(task));
  const early = exited.then(() => Promise.reject(new Error("the watchers ended early")));
  await Promise.race([once(child.stdout, "data"), early]);
  early.catch(() => {});
  return {
    freeze: () => void child.kill("SIGSTOP"),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
