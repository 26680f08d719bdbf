import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { root } from "./tools.ts";

/** The licences of the libraries inside a bundle, which ask to travel with it. */
export async function licencesOf(metafile: Metafile): Promise<string> {
  const inputs = Object.keys(metafile.inputs);
  const packages = new Set(inputs.flatMap((file) => packageOf.exec(file)?.[0] ?? []));
  const texts = await Promise.all([...packages].sort().map(licenceOf));
  return texts.join("\n\n");
}

const packageOf = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/;

async function licenceOf(folder: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8"));
  const { name, version, license } = manifest as Record<string, string>;
  const files = await readdir(join(root, folder));
  const file = files.find((candidate) => /^(licen[cs]e|copying)/i.test(candidate));
  const text = file === undefined ? "" : await readFile(join(root, folder, file), "utf8");
  return `${name} ${version}, ${license}\n\n${text.trim()}`;
}
