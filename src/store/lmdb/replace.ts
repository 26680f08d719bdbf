import { link, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { StartError } from "../../errors.ts";
import { syncPath } from "../files.ts";
import { DATA_FILE, type PARTIAL_FOLDERS } from "./environment.ts";
import { errorText } from "./errors.ts";

/** Makes an empty folder for something new; what a process that was killed left there goes. */
export async function makePartial(
  folder: string,
  name: (typeof PARTIAL_FOLDERS)[number],
): Promise<string> {
  const partial = join(folder, name);
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o700 });
  return partial;
}

/**
 * Puts the data file of a partial folder in the place of the one in use, and removes the partial
 * folder. At every moment the old or the new file is there, whole. Nobody may have the data folder
 * open but the caller, who holds its lock.
 *
 * `keepAs`: name of a folder in the data folder under which the old file stays, as a store that can be
 * opened. Errors: StartError when it cannot be kept; then nothing has changed.
 */
export async function replaceData(args: {
  folder: string;
  partial: string;
  keepAs?: string;
}): Promise<void> {
  const { folder, partial, keepAs } = args;
  const file = join(folder, DATA_FILE);
  if (keepAs !== undefined) await keep(file, join(folder, keepAs));
  await syncPath(join(partial, DATA_FILE));
  await rename(join(partial, DATA_FILE), file);
  await syncPath(folder);
  await rm(partial, { recursive: true, force: true });
}

async function keep(file: string, folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
    // A second name for the same bytes: takes no time and no room.
    await link(file, join(folder, DATA_FILE));
    await syncPath(folder);
  } catch (cause) {
    throw new StartError(
      `cannot keep the old store as ${folder} (${errorText(cause)}); move it away yourself and run the command again`,
      cause,
    );
  }
}
