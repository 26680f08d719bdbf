import { execFile } from "node:child_process";
import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

export const root = resolve(import.meta.dirname, "../../..");

/** Runs a program. Rejects with its output when it fails. */
export const run = promisify(execFile);

/** Folders of the packages in the repository. */
const folders = {
  sessiond: ".",
  "@sessiond/contract": "sdk/contract",
  "@sessiond/client": "sdk/client",
};

export interface Tarball {
  readonly file: string;
  /** Paths of the files in it. */
  readonly files: readonly string[];
}

/**
 * Packs all packages, by name.
 *
 * They are made of a copy of the repository in `folder`, because packing changes files for a
 * moment that other tests read.
 */
export async function packAll(folder: string): Promise<Readonly<Record<string, Tarball>>> {
  const copy = join(folder, "repository");
  const parts = ["package.json", "tsconfig.json", "README.md", "LICENSE", "src", "sdk"];
  for (const part of parts) {
    await cp(join(root, part), join(copy, part), {
      recursive: true,
      filter: (path) => !/\/(node_modules|dist)$/.test(path),
    });
  }
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
  const tarballs: Record<string, Tarball> = {};
  for (const [name, part] of Object.entries(folders)) {
    const args = ["pack", "--json", "--pack-destination", folder];
    const { stdout } = await run("npm", args, { cwd: join(copy, part) });
    tarballs[name] = tarballOf(folder, stdout);
  }
  return tarballs;
}

/** What `npm pack --json` says, behind what the scripts of the package may have printed. */
function tarballOf(folder: string, stdout: string): Tarball {
  const said: unknown = JSON.parse(stdout.slice(stdout.search(/^[[{]$/m)));
  const [packed] = Object.values(
    said as Record<string, { filename: string; files: { path: string }[] }>,
  );
  if (packed === undefined) throw new Error(`npm pack made nothing:\n${stdout}`);
  return { file: join(folder, packed.filename), files: packed.files.map(({ path }) => path) };
}

/** Installs tarballs into an empty folder, as a user would. */
export async function installAll(folder: string, tarballs: Iterable<Tarball>): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const files = [...tarballs].map(({ file }) => file);
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...files], {
    cwd: folder,
  });
}

/** The environment of a shell in which `node` is the program given. */
export function environmentOf(node: string, variables: Readonly<Record<string, string>> = {}) {
  const { PATH = "", HOME } = process.env;
  return { PATH: `${dirname(node)}:${PATH}`, HOME, ...variables };
}

/** A line of the README with what it prints: `<!-- run: NAME -->`, a block, a block. */
export interface Example {
  readonly name: string;
  readonly language: string;
  readonly code: string;
  readonly printed: string;
}

export async function readmeExamples(): Promise<Example[]> {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const pattern = /<!-- run: (\S+) -->\n```(\w+)\n([\s\S]*?)```\n\n```\n([\s\S]*?)```/g;
  return [...readme.matchAll(pattern)].map(
    ([, name = "", language = "", code = "", printed = ""]) => ({ name, language, code, printed }),
  );
}
