import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type BundleLine, parseBundleLine } from "@sessiond/client/bundle";
import { readTextLines } from "../bundle/read-lines.ts";
import { archiveFolderName, parseArchiveFileName } from "./file-names.ts";

/** A session in an archive. */
export interface ArchivedSession {
  /** As its file name says it: its beginning, where the name is long. */
  readonly sessionId: string;
  readonly uid: string;
  readonly path: string;
  readonly bytes: number;
  /** When it was written, in milliseconds. */
  readonly timeMs: number;
}

/** The sessions of a namespace in an archive, oldest first. Errors: those of the file system. */
export async function listArchive(folder: string, namespace: string): Promise<ArchivedSession[]> {
  const target = join(folder, archiveFolderName(namespace));
  const names = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    // Nothing of this namespace was ever removed.
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const found = names.flatMap((name) => {
    const parsed = parseArchiveFileName(name);
    return parsed === undefined ? [] : [{ ...parsed, path: join(target, name) }];
  });
  const sessions = await Promise.all(
    found.map(async (session) => {
      const { size: bytes, mtimeMs: timeMs } = await stat(session.path);
      return { ...session, bytes, timeMs };
    }),
  );
  return sessions.sort((a, b) => a.timeMs - b.timeMs || (a.path < b.path ? -1 : 1));
}

/** The lines of a file of an archive. Errors: BundleError, UnreadableError. */
export async function* archivedLines(path: string): AsyncGenerator<BundleLine> {
  for await (const { text, number } of readTextLines(createReadStream(path))) {
    yield parseBundleLine(text, number);
  }
}
