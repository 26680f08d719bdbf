import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { licencesOf } from "./licences.ts";
import { plainBuiltins } from "./plain-builtins.ts";
import { protoFiles } from "./proto-files.ts";
import { root, tsc } from "./tools.ts";

const dist = join(root, "dist");

/** What a bundle cannot hold: native code, and WebAssembly that is found beside its loader. */
const external = ["lmdb", "fs-native-extensions", "tiktoken"];

/** CommonJS libraries inside the bundle ask for these. */
const commonJs = `import { createRequire as sessiondRequire } from "node:module";
import { dirname as sessiondDirname } from "node:path";
import { fileURLToPath as sessiondPath } from "node:url";
const require = sessiondRequire(import.meta.url);
const __filename = sessiondPath(import.meta.url);
const __dirname = sessiondDirname(__filename);`;

/** What the command runs: an older Node would fail at syntax it does not know. */
const command = `#!/usr/bin/env node
if (Number.parseInt(process.versions.node, 10) >= 24) {
  await import("./sessiond.js");
} else {
  const found = process.version + " at " + process.execPath;
  process.stderr.write("sessiond needs Node 24 or newer, this is " + found + "; clients need 20\\n");
  process.exitCode = 2;
}
`;

/**
 * Bundles the server into `dist/`: the command, its threads (for tokens, for patterns, for OTLP), and
 * `sessiond/testing` with its types.
 *
 * One file in place of hundreds makes the start short. Libraries in `external` stay dependencies
 * of the package; all others are in the bundle, their licences beside it.
 */
export async function buildServer(): Promise<void> {
  await rm(dist, { recursive: true, force: true });
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: {
      sessiond: "src/main.ts",
      testing: "src/testing.ts",
      // Beside the chunk that starts them, under the names it looks for.
      worker: "src/domain/tokens/worker.ts",
      "pattern-worker": "src/sinks/redaction/pattern-worker.ts",
      "otlp-worker": "src/sinks/otlp/otlp-worker.ts",
    },
    outdir: dist,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    external,
    plugins: [protoFiles(dist), plainBuiltins],
    banner: { js: commonJs },
    legalComments: "none",
    keepNames: true,
    metafile: true,
    logLevel: "warning",
  });
  await writeFile(join(dist, "main.js"), command, { mode: 0o755 });
  await writeFile(join(dist, "LICENCES.txt"), await licencesOf(metafile));
  await declareTesting();
}

/**
 * Only the entry's own declarations: they must stand by themselves. They are not checked here but
 * with the sources, so that a package can be made while a test is not right yet.
 */
async function declareTesting(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-types-"));
  try {
    const config = {
      extends: join(root, "tsconfig.json"),
      files: [join(root, "src/testing.ts")],
      include: [],
      compilerOptions: {
        noCheck: true,
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: root,
        outDir: folder,
        typeRoots: [join(root, "node_modules/@types")],
      },
    };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
    await tsc(["-p", folder]);
    const declarations = join(folder, "src/testing.d.ts");
    if (/from "\.|import\("\./.test(await readFile(declarations, "utf8"))) {
      throw new Error("the types of src/testing.ts name other files, which the package has not");
    }
    await copyFile(declarations, join(dist, "testing.d.ts"));
  } finally {
    await rm(folder, { recursive: true });
  }
}
