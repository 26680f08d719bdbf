import { toJson } from "@bufbuild/protobuf";
import { type VerifySummary, VerifySummarySchema } from "@sessiond/contract";
import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import { outputOption } from "../output-format.ts";
import { addServerAddress, type ServerFlags, withServer } from "../server.ts";
import { openStore, withFolder } from "../upkeep/folder.ts";
import { type Message, messagesOf, reportMessages, verifyText } from "../upkeep/report.ts";

interface Flags extends ServerFlags {
  readonly data?: string;
  readonly output?: string;
}

const help = `
Looks at every record: checksums, logs without holes, lists, deadlines, the logs of namespaces, and
counters against a recount. Asks the running server, which goes on serving; with --data it opens the
folder of a server that is stopped, or a backup. Ends with ${exitCodes.incomplete} when something is wrong.
Where pages of the file are so damaged that LMDB ends the process ("Aborted"), only a backup helps.

Examples:
  sessiond verify
  sessiond verify --data /var/lib/sessiond
  sessiond verify --data /backup/monday -o jsonl | jq .finding`;

export function addVerify(program: Command, line: CommandLine): void {
  const command = program
    .command("verify")
    .description("check everything that is stored, and say what is wrong")
    .option("--data <folder>", "look into this folder, while no server has it open")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerAddress(command);
  command.action((flags: Flags) => verify(line, flags));
}

async function verify(line: CommandLine, flags: Flags): Promise<void> {
  const { data, output } = flags;
  if (data === undefined) {
    await withServer(line, flags, async ({ host, sessiond, interruption: { signal } }) => {
      const responses = sessiond.clients.server.verify({}, { signal });
      return await report(host, output, messagesOf(responses));
    });
    return;
  }
  await withFolder(line, data, async ({ host, folder, interruption: { signal } }) => {
    const { verifyStore } = await import("../../domain/upkeep/verify/verify.ts");
    await using store = await openStore(folder);
    return await report(host, output, verifyStore(store, signal));
  });
}

async function report(
  host: Host,
  output: string | undefined,
  messages: AsyncIterable<Message<VerifySummary>>,
): Promise<number | undefined> {
  const summary = await reportMessages({
    host,
    output,
    messages,
    toJson: (value) => toJson(VerifySummarySchema, value),
    toText: verifyText,
  });
  return summary !== undefined && summary.findings > 0 ? exitCodes.incomplete : undefined;
}
