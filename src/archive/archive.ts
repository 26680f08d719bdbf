import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { bundleVersion, manifestLine, partLines, summaryLine } from "@sessiond/client/bundle";
import type { BundleFooter, ExportSessionResponse } from "@sessiond/contract";
import { SummaryCounter } from "../bundle/summary.ts";
import { writeFile } from "../bundle/write-file.ts";
import type { StoredSession } from "../store/store.ts";
import { archiveFileName, archiveFolderName } from "./file-names.ts";

/**
 * Writes sessions into a folder, each as a bundle of its own. A file is there whole or not at all, and
 * synced when it is; a session that is written again replaces it.
 *
 * Errors: those of the file system and of `parts`.
 */
export function archiveInto(args: {
  folder: string;
  /** The parts of a session, as ExportSession sends them. */
  parts: (session: StoredSession) => AsyncIterable<ExportSessionResponse>;
  now: () => number;
}): (session: StoredSession) => Promise<void> {
  const { folder, parts, now } = args;
  return async (stored) => {
    const { namespace } = stored.session;
    const target = join(folder, archiveFolderName(namespace));
    await mkdir(target, { recursive: true, mode: 0o700 });
    const path = join(target, archiveFileName(stored.session));
    // What a crash has left of it.
    await rm(`${path}.partial`, { force: true });
    await writeFile(path, texts(stored, parts(stored), new Date(now()).toISOString()));
  };
}

async function* texts(
  { session: { namespace, sessionId } }: StoredSession,
  parts: AsyncIterable<ExportSessionResponse>,
  exportedAt: string,
): AsyncGenerator<string> {
  yield `${manifestLine({ version: bundleVersion, exportedAt, namespace })}\n`;
  let footer: BundleFooter | undefined;
  for await (const response of parts) {
    for (const line of partLines(response)) yield `${line}\n`;
    if (response.part.case === "footer") footer = response.part.value;
  }
  const counter = new SummaryCounter();
  if (footer !== undefined) counter.add({ sessionId, ...footer });
  yield `${summaryLine(counter.summary())}\n`;
}
