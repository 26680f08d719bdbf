import type { FileHandle } from "node:fs/promises";
import { DeliveryError } from "../sink.ts";

/** What every line begins with that a sink writes. */
const beginning = Buffer.from('{"namespace":');
const pieceBytes = 64 * 1024;
const newLine = 0x0a;

/** The file was written by somebody else, so nothing in it may be cut off, and nothing added. */
export class ForeignFileError extends DeliveryError {
  constructor(path: string) {
    super(`${path} holds something that no sink wrote; give it a path of its own`);
  }
}

/**
 * Place behind the last whole line of a file of that size; 0 when there is none. What is behind it begins as
 * a line of ours does, or is the zeros that some file systems leave after a power cut.
 *
 * Errors: ForeignFileError when its first line, or what is behind the last, is not ours.
 */
export async function endOfOwnLines(
  handle: FileHandle,
  { path, size }: { readonly path: string; readonly size: number },
): Promise<number> {
  if (size === 0) return 0;
  if (!isBeginning(await head(handle, 0))) throw new ForeignFileError(path);
  const end = await endOfLastLine(handle, size);
  if (end === size || end === 0) return end;
  const rest = await head(handle, end);
  if (isBeginning(rest) || rest.every((byte) => byte === 0)) return end;
  throw new ForeignFileError(path);
}

/** Also of a line that is shorter than what it begins with. */
function isBeginning(bytes: Buffer): boolean {
  return beginning.subarray(0, bytes.length).equals(bytes);
}

async function head(handle: FileHandle, position: number): Promise<Buffer> {
  const piece = Buffer.alloc(beginning.length);
  const { bytesRead } = await handle.read(piece, 0, piece.length, position);
  return piece.subarray(0, bytesRead);
}

async function endOfLastLine(handle: FileHandle, size: number): Promise<number> {
  const piece = Buffer.alloc(Math.min(pieceBytes, size));
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - piece.length);
    const { bytesRead } = await handle.read(piece, 0, end - start, start);
    const at = piece.subarray(0, bytesRead).lastIndexOf(newLine);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}
