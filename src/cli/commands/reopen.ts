import type { Command } from "commander";
import { addChange } from "../change-command.ts";
import type { CommandLine } from "../command-line.ts";

const help = `
Its log goes on where it ended, and a timeout counts anew; one whose time to live has passed stays
ended. Reopening a session that has not ended changes nothing.

Examples:
  sessiond reopen user-42
  sessiond reopen user-42 --reason "one more question"`;

export function addReopen(program: Command, line: CommandLine): void {
  addChange(program, line, {
    name: "reopen",
    description: "make an ended session active again",
    help,
    change: (session, options) => session.reopen(options),
    unchanged: "it had not ended",
  });
}
