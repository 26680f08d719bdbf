import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { outputOption } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { printChange } from "../session-change.ts";

interface Flags extends ServerFlags {
  readonly reason?: string;
  readonly output?: string;
}

const help = `
Whoever holds the session is told, and its open tool calls get a result that says so. Cancelling a
session that has ended changes nothing.

Examples:
  sessiond cancel run-7
  sessiond cancel run-7 --reason "the user left"`;

export function addCancel(program: Command, line: CommandLine): void {
  const command = program
    .command("cancel")
    .description("cancel a session: its agent is told to stop")
    .argument("<session>", "id of the session")
    .option("--reason <words>", "why, in words")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) =>
    withServer(line, flags, (server) => cancel(server, id, flags)),
  );
}

async function cancel({ host, sessiond, interruption }: Server, id: string, flags: Flags) {
  const { reason, output } = flags;
  const { signal } = interruption;
  const session = await sessiond.sessions.get(id, { signal });
  const changed = await session.cancel({ reason, signal });
  const unchanged = changed ? undefined : "it had ended before";
  printChange(host.stdout, session, { format: output, unchanged });
  return undefined;
}
