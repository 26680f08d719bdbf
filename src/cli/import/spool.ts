import { createWriteStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Input } from "../host.ts";
import type { ImportFile } from "./run.ts";

/** What came on stdin, as a file. Disposing removes it. */
export interface Spooled extends AsyncDisposable {
  readonly file: ImportFile;
}

/**
 * Writes stdin to a temporary file: a document may have to be read twice, and its size is what
 * progress goes by. It is called "stdin", so sessions and problems are named after that.
 *
 * Stops when the signal aborts; the file is then what had come. Errors: CommandError when it cannot
 * be written.
 */
export async function spool(stdin: Input, signal: AbortSignal): Promise<Spooled> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-import-")).catch((error: unknown) => {
    throw cannotKeep(error);
  });
  const path = join(folder, "stdin");
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await pipeline(stdin.bytes(), createWriteStream(path), { signal });
  } catch (error) {
    if (!signal.aborted) {
      await remove();
      throw cannotKeep(error);
    }
  }
  const { size: bytes } = await stat(path);
  return { file: { name: "stdin", path, bytes }, [Symbol.asyncDispose]: remove };
}

function cannotKeep(error: unknown): CommandError {
  return new CommandError(
    exitCodes.cannotStart,
    `cannot keep stdin in ${tmpdir()}: ${(error as Error).message}; set TMPDIR to a folder with room`,
    error,
  );
}
