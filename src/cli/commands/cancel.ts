import type { Command } from "commander";
import { addChange } from "../change-command.ts";
import type { CommandLine } from "../command-line.ts";

const help = `
Whoever holds the session is told, and its open tool calls get a result that says so. Cancelling a
session that has ended changes nothing.

Examples:
  sessiond cancel run-7
  sessiond cancel run-7 --reason "the user left"`;

export function addCancel(program: Command, line: CommandLine): void {
  addChange(program, line, {
    name: "cancel",
    description: "cancel a session: its agent is told to stop",
    help,
    change: (session, options) => session.cancel(options),
    unchanged: "it had ended before",
  });
}
