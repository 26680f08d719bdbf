import { access, readdir, rename, unlink } from "node:fs/promises";
import { dirname, join, parse } from "node:path";

/**
 * Gives a file the name of the time, for example `events-20261128T134000.123Z.jsonl` for `events.jsonl`, and
 * removes those of earlier times, the oldest first, until `keep` are left.
 */
export async function rotate(args: {
  readonly path: string;
  readonly keep: number;
  readonly timeMs: number;
}): Promise<void> {
  const { path, keep, timeMs } = args;
  await rename(path, await unusedName(path, timeMs));
  const old = (await rotatedFiles(path)).slice(0, -keep || undefined);
  for (const file of keep === 0 ? await rotatedFiles(path) : old) await unlink(file);
}

/** The files that have given way, the oldest first. */
export async function rotatedFiles(path: string): Promise<string[]> {
  const { dir, name, ext } = parse(path);
  const names = await readdir(dirname(path));
  return names
    .filter((file) => file.startsWith(`${name}-`) && file.endsWith(ext))
    .filter((file) =>
      /^\d{8}T\d{6}\.\d{3}Z$/.test(file.slice(name.length + 1, file.length - ext.length)),
    )
    .sort()
    .map((file) => join(dir, file));
}

async function unusedName(path: string, timeMs: number): Promise<string> {
  const { dir, name, ext } = parse(path);
  for (let ms = timeMs; ; ms++) {
    const time = new Date(ms).toISOString().replaceAll(/[-:]/g, "");
    const other = join(dir, `${name}-${time}${ext}`);
    const isThere = await access(other).then(
      () => true,
      () => false,
    );
    if (!isThere) return other;
  }
}
