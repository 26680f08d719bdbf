import { mkdir, readdir, realpath, rm, statfs } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import { InvalidFieldError, SessiondError } from "../../errors.ts";

const MiB = 1024 * 1024;
/** Left free beside the copy, because the store itself may be on the same disk. */
const spareBytes = 256 * MiB;
/** On small disks it is this part of them. */
const spareShare = 1 / 8;

/** Where a backup goes. */
export interface BackupTarget {
  readonly path: string;
  /** Folder that it is made in. */
  readonly parent: string;
  /** Folder that it is written as, until it is whole. */
  readonly partial: string;
}

/**
 * Checks a path, and makes the folder a backup is written to; what a process that was killed has left
 * there is removed.
 *
 * Errors: InvalidFieldError.
 */
export async function openTarget(args: {
  path: string;
  dataFolder: string;
  /** What the copy will take. */
  bytes: number;
}): Promise<BackupTarget> {
  const { path, dataFolder, bytes } = args;
  if (!isAbsolute(path)) throw wrong("has to be absolute: it is a folder on the server's machine");
  try {
    const parent = await realpath(dirname(path));
    const target = join(parent, basename(path));
    const data = await realpath(dataFolder).catch(() => dataFolder);
    if (isInside(target, data)) throw wrong("lies in the data folder; choose another place");
    if ((await entriesOf(target)).length > 0) {
      throw wrong("exists and is not empty; choose another name");
    }
    await checkSpace(parent, bytes);
    const partial = `${target}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { mode: 0o700 });
    return { path: target, parent, partial };
  } catch (error) {
    throw asWrong(error);
  }
}

/** What the caller is told when the disk does not do its part. */
export function asWrong(error: unknown): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  return notWritten(error);
}

/** What the caller is told when the engine could not copy. */
export function notCopied(error: unknown): unknown {
  return error instanceof SessiondError ? error : notWritten(error);
}

function notWritten(error: unknown): InvalidFieldError {
  return wrong(`cannot be written: ${error instanceof Error ? error.message : String(error)}`);
}

function wrong(description: string): InvalidFieldError {
  return new InvalidFieldError({ field: "path", description });
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === "" || !(way.startsWith("..") || isAbsolute(way));
}

async function entriesOf(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function checkSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder);
  const neededBytes = Math.ceil(bytes + Math.min(spareBytes, blocks * bsize * spareShare));
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes) return;
  throw wrong(
    `has ${freeBytes} bytes free, and ${neededBytes} are needed: the copy, and room for the store`,
  );
}
