import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { SessiondError, StartError } from "../../errors.ts";
import type { LmdbStore } from "../../store/lmdb/lmdb-store.ts";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { type Interruption, listenForInterruption } from "../interruption.ts";

const dataFile = "data.mdb";

/** A command's work on a folder that no server has open. */
export interface FolderWork {
  readonly host: Host;
  /** Absolute path. */
  readonly folder: string;
  readonly interruption: Interruption;
}

/** Whether a folder holds a store, or a backup of one. */
export function hasStore(folder: string): boolean {
  return existsSync(join(folder, dataFile));
}

/**
 * Runs a command on a folder: stops at signals, and turns errors into lines for people and exit codes.
 * `work` may return an exit code of its own.
 *
 * Errors: CommandError, StartError.
 */
export async function withFolder(
  { host, endsWith }: CommandLine,
  folder: string,
  work: (work: FolderWork) => Promise<number | undefined>,
): Promise<void> {
  using interruption = listenForInterruption(host);
  try {
    const exitCode = await work({ host, interruption, folder: resolve(host.cwd, folder) });
    endsWith(exitCode ?? interruption.exitCode() ?? exitCodes.done);
  } catch (error) {
    const interrupted = interruption.exitCode();
    if (interrupted === undefined) throw toCommandError(error);
    endsWith(interrupted);
  }
}

/** Opens the store of a folder, or of a backup. Errors: CommandError when there is none. */
export async function openStore(folder: string): Promise<LmdbStore> {
  assertStore(folder);
  const { LmdbStore } = await import("../../store/lmdb/lmdb-store.ts");
  return LmdbStore.open({ path: folder, isBackup: true });
}

/** Errors: CommandError when the folder has no store; opening it would make one. */
export function assertStore(folder: string): void {
  if (hasStore(folder)) return;
  throw new CommandError(
    exitCodes.cannotStart,
    `there is no store in ${folder}; name the data folder of a server, or a backup, with --data`,
  );
}

function toCommandError(error: unknown): unknown {
  if (error instanceof StartError && error.message.includes(" is in use by ")) {
    return new CommandError(
      exitCodes.cannotStart,
      `${error.message}; verify, stat and backup without --data ask the running server`,
      error,
    );
  }
  if (!(error instanceof SessiondError)) return error;
  const isStore = error.reason === "DATA_LOSS" || error.reason === "COMMIT_UNKNOWN";
  const exitCode = isStore ? exitCodes.storeFailed : exitCodes.cannotStart;
  return new CommandError(exitCode, error.message, error);
}
