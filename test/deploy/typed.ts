import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const modules = fileURLToPath(new URL("../../node_modules", import.meta.url));

/** Where the type of a kind is. */
const types: Readonly<Record<string, string>> = {
  Deployment: "kubernetes-models/apps/v1/Deployment",
  StatefulSet: "kubernetes-models/apps/v1/StatefulSet",
  Service: "kubernetes-models/v1/Service",
};

/**
 * What the TypeScript compiler says about documents as literals of their types; empty if nothing.
 *
 * The models' own `validate` lets fields pass that do not exist; the compiler does not.
 */
export async function typeErrors(
  documents: readonly { readonly kind?: string }[],
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-typed-"));
  try {
    await symlink(modules, join(folder, "node_modules"));
    const lines = documents.map((document, index) => {
      const kind = document.kind ?? "";
      const type = `import("${types[kind]}").I${kind}`;
      return `export const document${index}: ${type} = ${JSON.stringify(document)};\n`;
    });
    await writeFile(join(folder, "documents.ts"), lines.join(""));
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "NodeNext"];
    return await compile([...options, "documents.ts"], folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function compile(args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(join(modules, ".bin/tsc"), args, { cwd }, (error, stdout, stderr) => {
      if (error !== null && stdout === "") reject(new Error(stderr, { cause: error }));
      else resolve(stdout);
    });
  });
}
