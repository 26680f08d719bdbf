import { readFileSync, writeFileSync } from "node:fs";

/**
 * Takes everything out of a package's manifest but the named dependencies, so that `npm prune`
 * leaves these and what they need, in the versions of the lock file.
 *
 *   node keep-externals.js NAME...
 *
 * Errors: for a name that is no dependency.
 */
const file = "package.json";
const { dependencies, ...manifest } = JSON.parse(readFileSync(file, "utf8"));
const kept = process.argv.slice(2).map((name) => {
  if (dependencies[name] === undefined) throw new Error(`${name} is no dependency in ${file}`);
  return [name, dependencies[name]];
});
delete manifest.devDependencies;
delete manifest.workspaces;
writeFileSync(file, `${JSON.stringify({ ...manifest, dependencies: Object.fromEntries(kept) })}\n`);
