import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const probe = fileURLToPath(new URL("./loop-delay-on-signal.ts", import.meta.url));

/** Environment of a server whose longest block can be asked for. */
export const delayMeasured = { NODE_OPTIONS: `--import=${probe}` };

/** A process that was started with `delayMeasured`. */
export interface Measured {
  readonly pid: number;
  stderr(): string;
}

/** Longest time the process's event loop stood still since the last call; on a busy machine that is also the wait for a processor. */
export async function longestBlockMs({ pid, stderr }: Measured): Promise<number> {
  const said = () => [...stderr().matchAll(/^longest block (\S+) ms$/gm)];
  const before = said().length;
  process.kill(pid, "SIGUSR2");
  const deadlineMs = performance.now() + 10_000;
  while (said().length === before) {
    if (performance.now() > deadlineMs) throw new Error("the process did not say its delay");
    await sleep(5);
  }
  return Number(said().at(-1)?.[1]);
}

/** A process that does nothing: what its loop is late is the machine's doing. */
export async function startIdle(): Promise<Measured & AsyncDisposable> {
  const script = "setInterval(() => {}, 1_000); console.error('idle')";
  const child = spawn(process.execPath, [`--import=${probe}`, "-e", script], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  await once(child.stderr, "data");
  return {
    pid: child.pid ?? -1,
    stderr: () => said,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}
