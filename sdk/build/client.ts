import { glob, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root, tsc } from "./tools.ts";

const folder = join(root, "sdk/client");
const dist = join(folder, "dist");

/** Compiles the client into `sdk/client/dist`: JavaScript for Node 20 and browsers, and types. */
export async function buildClient(): Promise<void> {
  await rm(dist, { recursive: true, force: true });
  await tsc(["-p", join(folder, "tsconfig.build.json")]);
  for await (const file of glob("**/*.d.ts", { cwd: dist })) await nameJavaScript(join(dist, file));
}

/**
 * Lets declarations name `.js` files. The compiler leaves `.ts` in them, which its own resolution
 * understands, but not that of every tool that reads types.
 */
async function nameJavaScript(file: string): Promise<void> {
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replaceAll(/(from |import\()"(\.[^"]+)\.ts"/g, '$1"$2.js"'));
}
