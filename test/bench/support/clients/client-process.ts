import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Load } from "../load.ts";
import type { ClientName } from "./clients.ts";

/** What a client is told to do for a time. */
export interface ClientTask {
  readonly call: "getSession" | "watchEvents";
  readonly sessionId: string;
  /** Events of a watch before it is left and another one opened. */
  readonly events: number;
  readonly inFlight: number;
  readonly durationMs: number;
}

/** What came of it. */
export interface ClientRun extends Load {
  readonly calls: number;
}

export interface ClientProcess extends AsyncDisposable {
  readonly pid: number;
  run(task: ClientTask): Promise<ClientRun>;
}

const file = fileURLToPath(new URL("./client.ts", import.meta.url));

/**
 * Starts a client in a process of its own, so that what one client does to the heap and to the
 * compiler is not charged to another, and nothing shares its event loop.
 */
export async function startClient(name: ClientName, address: string): Promise<ClientProcess> {
  const child = fork(file, [name, address]);
  const exited = once(child, "exit");
  const early = exited.then(([code]) => Promise.reject(new Error(`${name} ended early (${code})`)));
  early.catch(() => {});
  const answer = () => Promise.race([once(child, "message"), early]);
  await answer();
  return {
    pid: child.pid ?? -1,
    async run(task) {
      child.send(task);
      const [run] = (await answer()) as [ClientRun];
      return run;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
