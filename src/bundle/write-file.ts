import { createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip, createZstdCompress } from "node:zlib";

/** Texts travel in chunks of about this size: a compressor has a price for each call. */
const chunkLength = 64 * 1_024;
const zstdLevel = 3;

/**
 * Writes a file whole or not at all: as `<path>.partial`, which is synced and renamed at the end. The
 * end of the name says how it is compressed: `.zst` or `.gz`.
 *
 * Errors: those of the texts and of the file system; the partial file is removed then.
 */
export async function writeFile(
  path: string,
  texts: AsyncIterable<string>,
  signal?: AbortSignal,
): Promise<void> {
  const partial = `${path}.partial`;
  const source = Readable.from(chunksOf(texts));
  const target = createWriteStream(partial, { mode: 0o600, flush: true });
  const options = signal === undefined ? {} : { signal };
  try {
    const compressor = compressorFor(path);
    if (compressor === undefined) await pipeline(source, target, options);
    else await pipeline(source, compressor, target, options);
    await rename(partial, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

function compressorFor(path: string) {
  if (path.endsWith(".gz")) return createGzip();
  if (!path.endsWith(".zst")) return undefined;
  return createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: zstdLevel } });
}

/** The name is durable only with its folder. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

async function* chunksOf(texts: AsyncIterable<string>): AsyncGenerator<Buffer> {
  let chunk: string[] = [];
  let length = 0;
  for await (const text of texts) {
    chunk.push(text);
    length += text.length;
    if (length < chunkLength) continue;
    yield Buffer.from(chunk.join(""));
    chunk = [];
    length = 0;
  }
  if (length > 0) yield Buffer.from(chunk.join(""));
}
