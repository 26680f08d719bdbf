import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";

/** Longest line that is read: an event of a megabyte whose every character is escaped fits. */
const maxLineBytes = 16 * 1_024 * 1_024;
const newline = 0x0a;

/** A line of a file; `number` counts from 1. */
export interface TextLine {
  readonly number: number;
  readonly text: string;
}

/** The bytes are not what their beginning says, or a line is too long or no UTF-8. */
export class UnreadableError extends Error {}

/**
 * The lines of what comes in, whether or not it is compressed: its first bytes say that. Only what is
 * being read is in memory. Blank lines are left out.
 *
 * Errors: UnreadableError; those of the bytes.
 */
export async function* readTextLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<TextLine> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  let number = 0;
  const take = (end: Uint8Array): TextLine | undefined => {
    number += 1;
    const all = Buffer.concat([...pending, end]);
    pending = [];
    pendingBytes = 0;
    try {
      const text = decoder.decode(all);
      return text.trim() === "" ? undefined : { number, text };
    } catch {
      throw new UnreadableError(`line ${number} is no UTF-8`);
    }
  };
  for await (const chunk of decompressed(bytes)) {
    let rest = chunk;
    for (let at = rest.indexOf(newline); at !== -1; at = rest.indexOf(newline)) {
      const line = take(rest.subarray(0, at));
      rest = rest.subarray(at + 1);
      if (line !== undefined) yield line;
    }
    pending.push(rest);
    pendingBytes += rest.length;
    if (pendingBytes > maxLineBytes) {
      throw new UnreadableError(`line ${number + 1} is longer than ${maxLineBytes} bytes`);
    }
  }
  const line = take(new Uint8Array());
  if (line !== undefined) yield line;
}

async function* decompressed(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = bytes[Symbol.asyncIterator]();
  const first = await beginning(source);
  const all = Readable.from(chain(first, source));
  const decompressor = decompressorFor(first);
  if (decompressor === undefined) {
    yield* all;
    return;
  }
  // A pipe passes no errors on.
  all.on("error", (error) => decompressor.destroy(error));
  try {
    yield* all.pipe(decompressor) as AsyncIterable<Uint8Array>;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!/^(Z_|ZSTD_|ERR_)/.test(code)) throw error;
    throw new UnreadableError("the compressed data ends too early or is damaged");
  } finally {
    all.destroy();
  }
}

function decompressorFor(first: Uint8Array) {
  const magic = Buffer.from(first.subarray(0, 4)).toString("hex");
  if (magic === "28b52ffd") return createZstdDecompress();
  return magic.startsWith("1f8b") ? createGunzip() : undefined;
}

/** At least four bytes, unless there are fewer. */
async function beginning(source: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let first: Uint8Array = new Uint8Array();
  while (first.length < 4) {
    const { done, value } = await source.next();
    if (done) break;
    first = Buffer.concat([first, value]);
  }
  return first;
}

async function* chain(first: Uint8Array, rest: AsyncIterator<Uint8Array>) {
  if (first.length > 0) yield first;
  for (;;) {
    const { done, value } = await rest.next();
    if (done) return;
    yield value;
  }
}
