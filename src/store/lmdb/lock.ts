import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { tryLock } from "fs-native-extensions";
import { StartError } from "../../errors.ts";
import { errorCode } from "./errors.ts";

/** The right to use a folder. Ends with `release` or with the process, however that ends. */
export interface FolderLock {
  release(): void;
}

const FILE = "sessiond.lock";

/**
 * Takes the one right to use a store's folder.
 *
 * An operating system lock, so nothing is left behind by a process that was killed; the file's
 * text only serves the message. On a read-only file system there is nobody to be kept out, and
 * the result is undefined.
 *
 * Errors: StartError when another process has it, or the folder cannot be written.
 */
export function lockFolder(folder: string, nowMs: number): FolderLock | undefined {
  const file = join(folder, FILE);
  let fd: number;
  try {
    fd = openSync(file, "a+", 0o600);
  } catch (cause) {
    if (errorCode(cause) === "EROFS") return undefined;
    throw new StartError(
      `cannot write to folder ${folder} (${errorCode(cause)}); make it writable or choose another with --data`,
      cause,
    );
  }
  if (!tryLock(fd)) {
    closeSync(fd);
    throw new StartError(
      `folder ${folder} is in use by ${holder(file)}; stop that process or choose another folder with --data`,
    );
  }
  try {
    ftruncateSync(fd);
    writeSync(fd, `${process.pid} ${new Date(nowMs).toISOString()}\n`);
  } catch {
    // A full disk: the lock holds without its text.
  }
  return { release: () => closeSync(fd) };
}

function holder(file: string): string {
  const [pid, since] = readFileSync(file, "utf8").trim().split(" ");
  return pid && since ? `process ${pid} since ${since}` : "another process";
}
