import { createReadStream } from "node:fs";
import { Argument, type Command } from "commander";
import { type ArchivedSession, archivedLines, listArchive } from "../../archive/read-archive.ts";
import { readTextLines } from "../../bundle/read-lines.ts";
import { loadConfig } from "../../config.ts";
import { importBundle } from "../bundle/import-bundle.ts";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { addServerOptions, type ServerFlags, withServer } from "../server.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";
import { age } from "../text/times.ts";
import { cut } from "../text/width.ts";

interface Flags extends ServerFlags {
  readonly archive?: string;
  readonly config?: string;
  readonly uid?: string;
  readonly as?: string;
  readonly output?: string;
}

type Action = "list" | "search" | "restore";

const help = `
A server with --archive writes ended sessions there, as bundles, before their retention removes them.
list and search read the folder and need no server. restore imports a session into the running one,
without its retention, so that it stays; of several of one name the newest, unless --uid says which.

Examples:
  sessiond archive list
  sessiond archive search "Kyoto" --archive /var/lib/sessiond/archive
  sessiond archive restore user-42 --as user-42-restored`;

export function addArchive(program: Command, line: CommandLine): void {
  const command = program
    .command("archive")
    .description("list, search and restore sessions that retention has removed")
    .addArgument(new Argument("<action>", "what to do").choices(["list", "search", "restore"]))
    .argument("[text]", "what to search for, or the id of the session to restore")
    .option("--archive <folder>", "the archive (default: as the server's; env SESSIOND_ARCHIVE)")
    .option("--config <file>", "the server's file of settings")
    .option("--uid <uid>", "restore: which, of several sessions of one name")
    .option("--as <id>", "restore: under another name")
    .addOption(outputOption("table"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action(async (action: Action, text: string | undefined, flags: Flags) => {
    const { host } = line;
    const sessions = await archived(host, flags);
    if (action === "list") return list(host, sessions, flags);
    if (text === undefined) {
      const what = action === "search" ? "what to search for" : "the session to restore";
      throw new CommandError(exitCodes.cannotStart, `say ${what}: sessiond archive ${action} …`);
    }
    if (action === "search") return search(line, sessions, text, flags);
    return restore(line, sessions, text, flags);
  });
}

async function archived(host: Host, { archive, config, namespace }: Flags) {
  const { env, cwd } = host;
  const { archive: folder } = (await loadConfig({ flags: { archive, config }, env, cwd })).config;
  if (folder === undefined) {
    throw new CommandError(
      exitCodes.cannotStart,
      "no archive is configured; name its folder with --archive or SESSIOND_ARCHIVE",
    );
  }
  try {
    return await listArchive(folder, namespace ?? "default");
  } catch (error) {
    const { message } = error as Error;
    throw new CommandError(exitCodes.cannotStart, `cannot read the archive: ${message}`, error);
  }
}

async function list(host: Host, sessions: readonly ArchivedSession[], flags: Flags): Promise<void> {
  const format = outputFormat(flags.output, "table", host.stdout);
  if (format !== "table") {
    const writer = jsonWriter(host.stdout, format);
    for (const { sessionId, uid, bytes, timeMs, path } of sessions) {
      const archivedAt = new Date(timeMs).toISOString();
      await writer.write({ sessionId, uid, archivedAt, bytes, path });
    }
    writer.end();
    return;
  }
  if (sessions.length === 0) {
    host.stderr.write("nothing is archived\n");
    return;
  }
  const now = new Date();
  const rows = sessions.map(({ sessionId, uid, bytes, timeMs }) => [
    cut(safe(sessionId), 40),
    age(new Date(timeMs), now),
    String(bytes),
    uid,
  ]);
  await writeTable(host.stdout, { head: ["SESSION", "ARCHIVED", "BYTES", "UID"], rows });
}

/** Prints the events whose texts hold the words, whatever their case. */
async function search(
  { host, endsWith }: CommandLine,
  sessions: readonly ArchivedSession[],
  text: string,
  flags: Flags,
): Promise<void> {
  const { toSessionEvent } = await import("@sessiond/client");
  const format = outputFormat(flags.output, "table", host.stdout);
  const writer = format === "table" ? undefined : jsonWriter(host.stdout, format);
  const wanted = text.toLowerCase();
  for (const { path, uid } of sessions) {
    let sessionId = "";
    try {
      for await (const line of archivedLines(path)) {
        if (line.kind === "session") sessionId = line.value.sessionId;
        if (line.kind !== "event") continue;
        const { revision, text: said } = toSessionEvent(line.value);
        const at = said.toLowerCase().indexOf(wanted);
        if (at === -1) continue;
        const found = said.slice(Math.max(0, at - 60), at + wanted.length + 100);
        if (writer !== undefined) await writer.write({ sessionId, uid, revision, text: found });
        else host.stdout.write(`${safe(sessionId)}:${revision}: ${safe(found)}\n`);
        await host.stdout.drained();
      }
    } catch (error) {
      host.stderr.write(`${safe(path)}: ${safe((error as Error).message)}\n`);
      endsWith(exitCodes.incomplete);
    }
  }
  writer?.end();
}

async function restore(
  line: CommandLine,
  sessions: readonly ArchivedSession[],
  sessionId: string,
  flags: Flags,
): Promise<void> {
  const found = await named(sessions, sessionId, flags.uid);
  await withServer(line, flags, async ({ host, sessiond, interruption }) => {
    const lines = readTextLines(createReadStream(found.path));
    const renames = flags.as === undefined ? {} : { [sessionId]: flags.as };
    const options = {
      onConflict: "fail",
      dryRun: false,
      keep: true,
      resume: false,
      renames,
      signal: interruption.signal,
    } as const;
    for await (const { result } of importBundle(sessiond, lines, options)) {
      if ("problem" in result) throw new CommandError(exitCodes.refused, result.problem.text);
      if (!("imported" in result)) continue;
      const { session } = result.imported;
      host.stdout.write(`${safe(session.sessionId)}: restored, ${session.headRevision} events\n`);
    }
    return undefined;
  });
}

/** The newest of that name. Errors: CommandError. */
async function named(
  sessions: readonly ArchivedSession[],
  sessionId: string,
  uid: string | undefined,
): Promise<ArchivedSession> {
  for (const session of sessions.toReversed()) {
    if (uid !== undefined && session.uid !== uid) continue;
    // A long id is cut in the name of its file.
    if (!sessionId.startsWith(session.sessionId) && uid === undefined) continue;
    for await (const line of archivedLines(session.path)) {
      if (line.kind !== "session") continue;
      if (line.value.sessionId === sessionId) return session;
      break;
    }
  }
  throw new CommandError(
    exitCodes.notFound,
    `no session "${sessionId}" in the archive; "sessiond archive list" shows those there are`,
  );
}
