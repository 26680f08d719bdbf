import type { FileHandle } from "node:fs/promises";

const pieceBytes = 64 * 1024;
const newLine = 0x0a;

/** Place behind the last whole line of a file of that size; 0 when there is none. */
export async function endOfLastLine(handle: FileHandle, size: number): Promise<number> {
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
