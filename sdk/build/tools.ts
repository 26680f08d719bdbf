import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

/** Folder of the repository. */
export const root = resolve(import.meta.dirname, "../..");

const run = promisify(execFile);

/** Runs the TypeScript compiler. Rejects with what it printed. */
export async function tsc(args: readonly string[]): Promise<void> {
  try {
    await run(join(root, "node_modules/.bin/tsc"), args, { cwd: root });
  } catch (error) {
    const { stdout = "" } = error as { stdout?: string };
    throw new Error(`tsc failed:\n${stdout}`, { cause: error });
  }
}
