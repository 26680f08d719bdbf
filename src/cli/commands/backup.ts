import { resolve } from "node:path";
import { toJson } from "@bufbuild/protobuf";
import { type BackupSummary, BackupSummarySchema } from "@sessiond/contract";
import type { Command } from "commander";
import { version } from "../../version.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { outputOption } from "../output-format.ts";
import { addServerAddress, type ServerFlags, withServer } from "../server.ts";
import { numberText } from "../text/numbers.ts";
import { quoted } from "../text/shell.ts";
import { openStore, withFolder } from "../upkeep/folder.ts";
import { bytesText, type Message, messagesOf, reportMessages } from "../upkeep/report.ts";

interface Flags extends ServerFlags {
  readonly data?: string;
  readonly output?: string;
}

const help = `
The folder must not exist, or be empty; it is there whole and verified, or not at all. The running
server writes it, on its machine and with its rights, and goes on serving; with --data the command
does it itself, from the folder of a server that is stopped. Ends with ${exitCodes.incomplete} when the copy has
findings, because the store has them. Keep it with the care of the data: it holds every session.

Examples:
  sessiond backup /backup/$(date +%F)
  sessiond backup /backup/final --data /var/lib/sessiond`;

export function addBackup(program: Command, line: CommandLine): void {
  const command = program
    .command("backup")
    .description("copy the whole store into a new folder, while it is used")
    .argument("<folder>", "folder to make")
    .option("--data <folder>", "back up this folder, while no server has it open")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerAddress(command);
  command.action((folder: string, flags: Flags) => backup(line, folder, flags));
}

async function backup(line: CommandLine, target: string, flags: Flags): Promise<void> {
  const { data, output } = flags;
  const path = resolve(line.host.cwd, target);
  if (data === undefined) {
    await withServer(line, flags, async ({ host, sessiond, interruption: { signal } }) => {
      const responses = sessiond.clients.server.backup({ path }, { signal });
      return await report(host, output, messagesOf(responses));
    });
    return;
  }
  await withFolder(line, data, async ({ host, folder, interruption: { signal } }) => {
    const { backupStore } = await import("../../domain/upkeep/backup.ts");
    await using store = await openStore(folder);
    const options = { store, version, clock: Date.now, dataFolder: folder, openCopy: openStore };
    return await report(host, output, backupStore(options, path, signal));
  });
}

async function report(
  host: Host,
  output: string | undefined,
  messages: AsyncIterable<Message<BackupSummary>>,
): Promise<number | undefined> {
  const summary = await reportMessages({
    host,
    output,
    messages,
    toJson: (value) => toJson(BackupSummarySchema, value),
    toText: backupText,
  });
  return summary?.verified?.findings ? exitCodes.incomplete : undefined;
}

function backupText({ path, bytes, verified }: BackupSummary): string {
  const { sessions = 0n, events = 0n, findings = 0 } = verified ?? {};
  const content = `${numberText(Number(sessions))} sessions, ${numberText(Number(events))} events`;
  const state = findings === 0 ? "verified" : `with ${numberText(findings)} findings`;
  return [
    `backup in ${path}: ${bytesText(bytes)}, ${content}, ${state}`,
    `restore it, with the server stopped: sessiond restore ${quoted(path)} --data <folder>`,
  ].join("\n");
}
