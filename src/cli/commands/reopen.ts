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
Its log goes on where it ended, and a timeout counts anew; one whose time to live has passed stays
ended. Reopening a session that has not ended changes nothing.

Examples:
  sessiond reopen user-42
  sessiond reopen user-42 --reason "one more question"`;

export function addReopen(program: Command, line: CommandLine): void {
  const command = program
    .command("reopen")
    .description("make an ended session active again")
    .argument("<session>", "id of the session")
    .option("--reason <words>", "why, in words")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) =>
    withServer(line, flags, (server) => reopen(server, id, flags)),
  );
}

async function reopen({ host, sessiond, interruption }: Server, id: string, flags: Flags) {
  const { reason, output } = flags;
  const { signal } = interruption;
  const session = await sessiond.sessions.get(id, { signal });
  const changed = await session.reopen({ reason, signal });
  const unchanged = changed ? undefined : "it had not ended";
  printChange(host.stdout, session, { format: output, unchanged });
  return undefined;
}
