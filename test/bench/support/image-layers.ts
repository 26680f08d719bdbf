import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { createGunzip } from "node:zlib";
import type { BuiltImage } from "../../image/image-builder.ts";
import { tempFolder } from "./temp-folder.ts";

const run = promisify(execFile);

/** One layer of an image. */
export interface Layer {
  /** The instruction that made it. */
  readonly made: string;
  /** As a tar file. */
  readonly bytes: number;
  /** The same, with gzip. */
  readonly compressedBytes: number;
}

/** The parts used here of what the OCI image format writes down. */
interface Descriptor {
  readonly digest: string;
  readonly size: number;
}
interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}
interface Config {
  readonly history: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[];
}

/** The layers of a built image, the lowest first. */
export async function layersOf(image: BuiltImage): Promise<Layer[]> {
  await using folder = await tempFolder();
  const copy = join(folder.path, "image");
  await run("buildah", ["push", "--format", "oci", "localhost/sessiond", `oci:${copy}`], {
    env: { ...process.env, CONTAINERS_STORAGE_CONF: storageOf(image) },
  });
  const blob = (digest: string) => join(copy, "blobs", digest.replace(":", "/"));
  const read = async (file: string) => JSON.parse(await readFile(file, "utf8"));
  const index: { manifests: readonly Descriptor[] } = await read(join(copy, "index.json"));
  const manifest: Manifest = await read(blob(index.manifests[0]?.digest ?? ""));
  const { history }: Config = await read(blob(manifest.config.digest));
  const makers = history.filter((entry) => entry.empty_layer !== true);
  if (makers.length !== manifest.layers.length) {
    throw new Error(`${manifest.layers.length} layers with ${makers.length} entries of history`);
  }
  return Promise.all(
    manifest.layers.map(async ({ digest, size }, at) => ({
      made: shortened(makers[at]?.created_by ?? ""),
      bytes: await gunzippedBytes(blob(digest)),
      compressedBytes: size,
    })),
  );
}

/** The builder's configuration lies beside the storage that the image's files are in. */
function storageOf({ files }: BuiltImage): string {
  const [folder] = files.split("/graph/");
  return join(folder ?? "", "storage.conf");
}

async function gunzippedBytes(file: string): Promise<number> {
  let bytes = 0;
  for await (const chunk of createReadStream(file).pipe(createGunzip())) {
    bytes += (chunk as Buffer).length;
  }
  return bytes;
}

/** The instruction as the Dockerfile has it, without the build's arguments and sums. */
function shortened(made: string): string {
  // A base that was not built by a Dockerfile names a shell and nothing else.
  if (made === "" || made === "/bin/sh") return "base";
  return made
    .replace(/^\/bin\/sh -c #\(nop\) /, "")
    .replace(/^(\|\d+ .*?)?\/bin\/sh -c /, "RUN ")
    .replace(/\w+:[0-9a-f]{64} in /, "")
    .replaceAll(/\s+/g, " ")
    .slice(0, 60);
}
