import { execFile } from "node:child_process";
import { cp, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
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

/** Builds the production bundle in a folder of its own, where no other build replaces it. */
export async function buildBundle(): Promise<Bundle> {
  await using made = new AsyncDisposableStack();
  const folder = made.use(await tempFolder());
  await Promise.all(
    sources.map((name) => cp(join(root, name), join(folder.path, name), { recursive: true })),
  );
  await symlink(join(root, "node_modules"), join(folder.path, "node_modules"));
  await run(process.execPath, ["sdk/build/main.ts", "server"], { cwd: folder.path });
  const kept = made.move();
  return {
    wrap: ["sh", "-c", inPlaceOfSources, join(folder.path, "dist/main.js")],
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** `$0` is the bundle, `$1` Node, then its flag and the sources' entry. Costs a start about a millisecond. */
const inPlaceOfSources = 'node=$1 flag=$2; shift 3; exec "$node" "$flag" "$0" "$@"';
