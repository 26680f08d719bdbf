import type { Command } from "commander";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { safe } from "../text/safe.ts";

interface Flags extends ServerFlags {
  readonly allowMissing?: true;
  readonly output?: string;
}

const help = `
The log is gone when the command returns. It ends with ${exitCodes.notFound} at the first session that does not exist.

Examples:
  sessiond delete user-42
  sessiond sessions --user 42 -o jsonl | jq -r .sessionId | xargs sessiond delete`;

export function addDelete(program: Command, line: CommandLine): void {
  const command = program
    .command("delete")
    .description("delete sessions with their logs")
    .argument("<session...>", "ids of the sessions")
    .option("--allow-missing", "a session that does not exist is no error")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((ids: string[], flags: Flags) =>
    withServer(line, flags, (server) => deleteAll(server, ids, flags)),
  );
}

async function deleteAll({ host, sessiond, interruption }: Server, ids: string[], flags: Flags) {
  const format = outputFormat(flags.output, "text", host.stdout);
  for (const sessionId of ids) {
    const { signal } = interruption;
    const allowMissing = flags.allowMissing === true;
    const deleted = await sessiond.sessions.delete(sessionId, { allowMissing, signal });
    const words = deleted ? "deleted" : "there was none";
    if (format === "text") host.stdout.write(`${safe(sessionId)}: ${words}\n`);
    else writeJson(host.stdout, format, { sessionId, deleted });
  }
  return undefined;
}
