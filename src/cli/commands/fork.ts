import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { revision } from "../options.ts";
import { outputOption } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { printChange } from "../session-change.ts";

interface Flags extends ServerFlags {
  readonly at?: number;
  readonly as?: string;
  readonly title?: string;
  readonly requestId?: string;
  readonly output?: string;
}

const help = `
The fork shares the log of the session up to a revision and goes on by itself from there, also when
the session is deleted. "sessiond show ID --tree" shows what was forked from what, "sessiond diff A B"
how two of them differ.

Examples:
  sessiond fork user-42
  sessiond fork user-42 --at 12 --as user-42-train --title "by train"`;

export function addFork(program: Command, line: CommandLine): void {
  const command = program
    .command("fork")
    .description("make a session that shares the log of another up to a revision")
    .argument("<session>", "id of the session")
    .option("--at <revision>", "newest revision it shares (default: the newest there is)", revision)
    .option("--as <name>", "id of the fork (default: the server makes one up)")
    .option("--title <text>", "title of the fork (default: as the session)")
    .option("--request-id <id>", "makes the command safe to repeat for 24 hours")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) =>
    withServer(line, flags, (server) => fork(server, id, flags)),
  );
}

async function fork({ host, sessiond, interruption }: Server, id: string, flags: Flags) {
  const { at, as, title, requestId, output } = flags;
  const { signal } = interruption;
  const session = await sessiond.sessions.get(id, { signal });
  const input = { revision: at, sessionId: as, ...(title !== undefined && { title }) };
  const made = await session.fork(input, { requestId, signal });
  printChange(host.stdout, made, { format: output, unchanged: undefined });
  return undefined;
}
