import { execFile } from "node:child_process";
import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startServer } from "../../support/server-process.ts";
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
  await linkLibraries(folder.path);
  await run(process.execPath, ["sdk/build/main.ts", "server"], { cwd: folder.path });
  const wrap = ["sh", "-c", inPlaceOfSources, join(folder.path, "dist/main.js")];
  await using data = await tempFolder();
  await using server = await startServer({ data: data.path, wrap });
  await server.kill("SIGTERM");
  const kept = made.move();
  return { wrap, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** One by one, so that what the engine compiled of the bundle goes with the bundle's folder. */
async function linkLibraries(folder: string): Promise<void> {
  const libraries = join(root, "node_modules");
  await mkdir(join(folder, "node_modules"));
  for (const name of await readdir(libraries)) {
    if (name !== ".cache") await symlink(join(libraries, name), join(folder, "node_modules", name));
  }
}

/** `$0` is the bundle, `$1` Node, then its flags and the sources' entry. Costs a start about a millisecond. */
const inPlaceOfSources = 'node=$1 min=$2 max=$3; shift 4; exec "$node" "$min" "$max" "$0" "$@"';
