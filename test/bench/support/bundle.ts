import { execFile } from "node:child_process";
import { cp, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { engineFlags } from "../../support/server-process.ts";
import { tempFolder } from "./temp-folder.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../..", import.meta.url));
/** What the build reads, beside the libraries. */
const sources = ["package.json", "tsconfig.json", "src", "sdk"];

/** The production bundle, until it is disposed. */
export interface Bundle extends AsyncDisposable {
  /** For `startServer`: runs the bundle in place of the sources. */
  readonly wrap: readonly string[];
}

/**
 * Builds the production bundle in a folder of its own, where no other build replaces it, and starts it
 * once, as the build of the image does.
 */
export async function buildBundle(): Promise<Bundle> {
  await using made = new AsyncDisposableStack();
  const folder = made.use(await tempFolder());
  await Promise.all(
    sources.map((name) => cp(join(root, name), join(folder.path, name), { recursive: true })),
  );
  await symlink(join(root, "node_modules"), join(folder.path, "node_modules"));
  await run(process.execPath, ["sdk/build/main.ts", "server"], { cwd: folder.path });
  const main = join(folder.path, "dist/main.js");
  const startOnce = join(root, "deploy/image/start-once.js");
  await run(process.execPath, [startOnce, process.execPath, ...engineFlags, main]);
  const kept = made.move();
  return {
    wrap: ["sh", "-c", inPlaceOfSources, main],
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** `$0` is the bundle, `$1` Node, then its flags and the sources' entry. Costs a start about a millisecond. */
const inPlaceOfSources = 'node=$1 min=$2 max=$3; shift 4; exec "$node" "$min" "$max" "$0" "$@"';
