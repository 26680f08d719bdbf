import { copyFile, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "./tools.ts";

const manifest = join(root, "sdk/client/package.json");
/** Where the manifest waits while the package is made; in a folder that git ignores. */
const kept = join(root, "sdk/client/dist/package.json");

/**
 * Puts the manifest as users get it in place of the one for this repository, until
 * `restoreManifest`: npm takes what stands in the folder.
 *
 * They differ in what an import finds. Here it is the sources, so that nothing has to be built to
 * work on them; in the package it is JavaScript, because Node strips no types under node_modules.
 * The difference stands in `publishConfig`, as pnpm and yarn have it.
 */
export async function publishManifest(): Promise<void> {
  const { publishConfig, scripts, ...fields } = JSON.parse(await readFile(manifest, "utf8"));
  await copyFile(manifest, kept);
  await writeFile(manifest, `${JSON.stringify({ ...fields, ...publishConfig }, null, 2)}\n`);
}

/** Undoes `publishManifest`. */
export async function restoreManifest(): Promise<void> {
  await rename(kept, manifest);
}
