import { setTimeout as pause } from "node:timers/promises";
import type { Exit, ServerProcess } from "../support/server-process.ts";
import { attach } from "../support/strace.ts";
import type { Random } from "./random.ts";

/** Longest time a server works before its disaster, in milliseconds. */
const workMs = 500;

/** Brings a working server down, and resolves when it has ended. */
export type Disaster = (server: ServerProcess, random: Random) => Promise<void>;

export const killAtRandomInstant: Disaster = async (server, random) => {
  await pause(random.between(1, workMs));
  await server.kill("SIGKILL");
};

/**
 * Kills a server whose syncs take their time, so that there is nearly always a commit which is
 * decided and not yet on disk. Nobody may know of it.
 */
export const killWhileSyncing: Disaster = async (server, random) => {
  await using _ = await attach(server.pid, ["fdatasync:delay_enter=50000"]);
  await killAtRandomInstant(server, random);
};

/**
 * Has system calls of the disk fail from a random instant on, as strace(1) injects them.
 *
 * Errors: when the server ends as if nothing had happened.
 */
export function diskErrors(...inject: readonly string[]): Disaster {
  return async (server, random) => {
    await pause(random.between(1, workMs));
    await using _ = await attach(server.pid, inject);
    assertFailed(await server.exited, server);
  };
}

function assertFailed({ code }: Exit, { stderr }: ServerProcess): void {
  if (code === 0) throw new Error(`the server ended well:\n${stderr()}`);
}
