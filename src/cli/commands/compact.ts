import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { type ProgressBar, progressBar } from "../progress-bar.ts";
import { numberText } from "../text/numbers.ts";
import { assertStore, type FolderWork, withFolder } from "../upkeep/folder.ts";
import { bytesText } from "../upkeep/report.ts";
import { verifyCopy } from "../upkeep/verify-copy.ts";

interface Flags {
  readonly data: string;
  readonly force?: boolean;
  readonly output?: string;
}

const help = `
The server that uses the folder is stopped first. Every record is copied into a new file, lists and
deadlines are made anew, records of no session are left out, the new file is verified, and only then
takes the place of the old one. It needs free disk space for the new file. A file shrinks by what was
deleted: without deletions there is little to win, because free pages are used before a file grows.

Examples:
  sessiond compact --data /var/lib/sessiond`;

export function addCompact(program: Command, line: CommandLine): void {
  program
    .command("compact")
    .description("make the file of a stopped server as small as what is in it")
    .requiredOption("--data <folder>", "data folder")
    .option("--force", "also take a new file that has findings, because the old one has them")
    .addOption(outputOption("text"))
    .addHelpText("after", help)
    .action((flags: Flags) => withFolder(line, flags.data, (work) => compact(work, flags)));
}

async function compact(
  { host, folder, interruption: { signal } }: FolderWork,
  { force = false, output }: Flags,
): Promise<number | undefined> {
  assertStore(folder);
  const { DEFAULT_MAP_BYTES, openEnvironment } = await import("../../store/lmdb/environment.ts");
  const { sizeOf } = await import("../../store/lmdb/pages.ts");
  const { makePartial, replaceData } = await import("../../store/lmdb/replace.ts");
  const options = { mapSizeBytes: DEFAULT_MAP_BYTES, nowMs: Date.now() };
  // Holds the lock until the new file is in its place.
  const from = await openEnvironment({ ...options, path: folder });
  const bar = progressBar(host.stderr);
  try {
    if (from.readOnly) throw refused(`${folder} is on a read-only file system`);
    const before = sizeOf(from);
    const partial = await makePartial(folder, "compact.partial");
    try {
      const to = await openEnvironment({ ...options, path: partial });
      const copied = await copyInto({ from, to, bar, signal }).finally(() => to.close());
      const { summary, size } = await verifyCopy({ host, folder: partial, bar, signal });
      const { findings } = summary;
      if (findings > 0 && !force) {
        throw refused(`the new file has ${findings} findings, see above; --force takes it anyway`);
      }
      signal.throwIfAborted();
      await replaceData({ folder, partial });
      bar.clear();
      const sizes = { beforeBytes: before.fileBytes, afterBytes: size.fileBytes };
      show(host, output, { ...sizes, ...copied, findings, data: folder });
      return findings > 0 ? exitCodes.incomplete : undefined;
    } finally {
      bar.clear();
      await rm(join(partial), { recursive: true, force: true });
    }
  } finally {
    await from.close();
  }
}

async function copyInto(args: {
  from: Parameters<typeof import("../../store/lmdb/copy.ts").copyRecords>[0];
  to: Parameters<typeof import("../../store/lmdb/copy.ts").copyRecords>[1];
  bar: ProgressBar;
  signal: AbortSignal;
}): Promise<{ records: number; leftOut: number }> {
  const { from, to, bar, signal } = args;
  const { copyRecords } = await import("../../store/lmdb/copy.ts");
  const { sizeOf } = await import("../../store/lmdb/pages.ts");
  const total = sizeOf(from).tables.reduce((sum, { entries }) => sum + entries, 0);
  return copyRecords(from, to, {
    signal,
    onRecords: (records) => bar.update(records / total, `copy, ${numberText(records)} records`),
  });
}

function show(
  host: Host,
  output: string | undefined,
  result: {
    data: string;
    beforeBytes: number;
    afterBytes: number;
    records: number;
    leftOut: number;
    findings: number;
  },
): void {
  const format = outputFormat(output, "text", host.stdout);
  if (format !== "text") {
    writeJson(host.stdout, format, result);
    return;
  }
  const { beforeBytes, afterBytes, records, leftOut } = result;
  const left = leftOut === 0 ? "" : `, ${numberText(leftOut)} records of no session left out`;
  host.stdout.write(
    `${bytesText(beforeBytes)} before, ${bytesText(afterBytes)} after: ${numberText(records)} records${left}\n`,
  );
}

function refused(why: string): CommandError {
  return new CommandError(exitCodes.incomplete, `nothing was changed: ${why}`);
}
