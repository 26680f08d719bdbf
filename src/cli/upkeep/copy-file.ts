import { open } from "node:fs/promises";

const pieceBytes = 4 * 1024 * 1024;

/** Copies a file to a new one and syncs it, with room to say how far it is and to stop. */
export async function copyFile(args: {
  from: string;
  to: string;
  signal: AbortSignal;
  onBytes: (bytes: number) => void;
}): Promise<void> {
  await using from = await open(args.from, "r");
  await using to = await open(args.to, "wx", 0o600);
  const piece = Buffer.alloc(pieceBytes);
  let bytes = 0;
  for (;;) {
    args.signal.throwIfAborted();
    const { bytesRead } = await from.read(piece, 0, pieceBytes);
    if (bytesRead === 0) break;
    await to.writeFile(piece.subarray(0, bytesRead));
    bytes += bytesRead;
    args.onBytes(bytes);
  }
  await to.sync();
}
