import { existsSync } from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { VerifySummary } from "@sessiond/contract";
import type { Command } from "commander";
import { type Manifest, readManifest } from "../../store/manifest.ts";
import { SCHEMA_VERSION } from "../../store/schema.ts";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { type ProgressBar, progressBar } from "../progress-bar.ts";
import { numberText } from "../text/numbers.ts";
import { copyFile } from "../upkeep/copy-file.ts";
import { assertStore, type FolderWork, hasStore, withFolder } from "../upkeep/folder.ts";
import { bytesText } from "../upkeep/report.ts";
import { type VerifiedCopy, verifyCopy } from "../upkeep/verify-copy.ts";

interface Flags {
  readonly data: string;
  readonly force?: boolean;
  readonly output?: string;
}

const help = `
The server that uses the folder is stopped first. The backup is copied, verified, and only then takes
the place of what was there: whenever the command is interrupted, the old or the new store is there,
whole. The restored store has another identity, so cursors from before are refused (CURSOR_INVALID)
instead of leading into a log that has changed; everything else is as it was.

Examples:
  sessiond restore /backup/monday --data /var/lib/sessiond
  sessiond restore /backup/monday --data /var/lib/sessiond --force`;

export function addRestore(program: Command, line: CommandLine): void {
  program
    .command("restore")
    .description("make a data folder of a backup")
    .argument("<backup>", 'folder that "sessiond backup" made')
    .requiredOption("--data <folder>", "data folder to restore into; made when it is missing")
    .option("--force", "replace the store that is there; it is kept as before-restore-<time> in it")
    .addOption(outputOption("text"))
    .addHelpText("after", help)
    .action((backup: string, flags: Flags) =>
      withFolder(line, flags.data, (work) => restore(work, backup, flags)),
    );
}

/**
 * 1. Takes the folder's lock, so that no server opens it meanwhile.
 * 2. Copies the data file of the backup into a folder inside the data folder, and verifies it there.
 * 3. Gives it a new identity.
 * 4. Gives the old file a second name, if it is to be kept, and the new one its place: a rename.
 */
async function restore(
  { host, folder, interruption: { signal } }: FolderWork,
  name: string,
  { force = false, output }: Flags,
): Promise<number | undefined> {
  const backup = resolve(host.cwd, name);
  const manifest = await readManifest(backup);
  assertStore(backup);
  const { lockFolder } = await import("../../store/lmdb/lock.ts");
  const { makePartial, replaceData } = await import("../../store/lmdb/replace.ts");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(folder, Date.now());
  if (lock === undefined) throw notWritable(folder);
  const bar = progressBar(host.stderr);
  try {
    const isReplaced = hasStore(folder);
    if (isReplaced && !force) throw taken(folder);
    const partial = await makePartial(folder, "restore.partial");
    try {
      const summary = await makeCopy({ host, backup, manifest, partial, bar, signal });
      const keepAs = isReplaced ? freeName(folder) : undefined;
      await replaceData({ folder, partial, ...(keepAs !== undefined && { keepAs }) });
      bar.clear();
      const { findings } = summary;
      show(host, output, {
        data: folder,
        backupTime: manifest.createTime,
        sessions: Number(summary.sessions),
        events: Number(summary.events),
        findings,
        ...(keepAs !== undefined && { before: join(folder, keepAs) }),
      });
      return findings > 0 ? exitCodes.incomplete : undefined;
    } finally {
      bar.clear();
      await rm(partial, { recursive: true, force: true });
    }
  } finally {
    lock.release();
  }
}

/** Copies, verifies, and gives the copy an identity of its own. Errors: CommandError. */
async function makeCopy(args: {
  host: Host;
  backup: string;
  manifest: Manifest;
  partial: string;
  bar: ProgressBar;
  signal: AbortSignal;
}): Promise<VerifySummary> {
  const { host, backup, manifest, partial, bar, signal } = args;
  const from = join(backup, "data.mdb");
  const { size } = await stat(from);
  if (size < manifest.fileBytes) throw incomplete(backup, "its data file is too short");
  await copyFile({
    from,
    to: join(partial, "data.mdb"),
    signal,
    onBytes: (bytes) => bar.update(bytes / size, `copy, ${bytesText(bytes)}`),
  });
  const verified = await verifyCopy({ host, folder: partial, bar, signal });
  // Records of an older schema may have become others by now.
  if (manifest.schemaVersion === SCHEMA_VERSION) assertSame(backup, manifest, verified);
  // What was known when the backup was made may be all there is.
  const isAsGood = verified.summary.findings <= manifest.findings;
  if (!isAsGood) throw incomplete(backup, "it is damaged, see above");
  await withNewIdentity(partial);
  signal.throwIfAborted();
  return verified.summary;
}

function show(
  host: Host,
  output: string | undefined,
  result: {
    data: string;
    backupTime: string;
    sessions: number;
    events: number;
    findings: number;
    before?: string;
  },
): void {
  const { data, backupTime, sessions, events, before } = result;
  const format = outputFormat(output, "text", host.stdout);
  if (format !== "text") {
    writeJson(host.stdout, format, result);
    return;
  }
  const content = `${numberText(sessions)} sessions, ${numberText(events)} events`;
  host.stdout.write(`restored ${content} of ${backupTime} to ${data}\n`);
  if (before !== undefined) host.stdout.write(`the store from before is in ${before}\n`);
}

async function withNewIdentity(path: string): Promise<void> {
  const { DEFAULT_MAP_BYTES, openEnvironment } = await import("../../store/lmdb/environment.ts");
  const { renewIdentity } = await import("../../store/lmdb/copy.ts");
  const environment = await openEnvironment({
    path,
    mapSizeBytes: DEFAULT_MAP_BYTES,
    nowMs: Date.now(),
  });
  try {
    await renewIdentity(environment);
  } finally {
    await environment.close();
  }
}

/** The copy has as many records as were counted when the backup was made. */
function assertSame(
  backup: string,
  { records }: { records: Readonly<Record<string, number>> },
  { size }: VerifiedCopy,
): void {
  for (const { name, entries } of size.tables) {
    const expected = records[name] ?? 0;
    if (entries === expected) continue;
    throw incomplete(backup, `it has ${entries} records of ${name}, and had ${expected}`);
  }
}

/** `before-restore-20261128-075300`, with a number behind it when there is one already. */
function freeName(folder: string): string {
  const [date, time] = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").split("T");
  const name = `before-restore-${date}-${time}`;
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? name : `${name}-${number}`;
    if (!existsSync(join(folder, candidate))) return candidate;
  }
}

function taken(folder: string): CommandError {
  return new CommandError(
    exitCodes.cannotStart,
    `${folder} has a store; restore into another folder, or use --force, which keeps the old one in it as before-restore-<time>`,
  );
}

function incomplete(backup: string, why: string): CommandError {
  return new CommandError(
    exitCodes.incomplete,
    `nothing was restored: the backup in ${backup} is not what was written (${why}); use another one`,
  );
}

function notWritable(folder: string): CommandError {
  return new CommandError(
    exitCodes.cannotStart,
    `${folder} is on a read-only file system; make it writable, or choose another with --data`,
  );
}
