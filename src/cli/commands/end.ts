import type { EndOptions } from "@sessiond/client";
import { type Command, Option } from "commander";
import type { CommandLine } from "../command-line.ts";
import { outputOption } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { printChange } from "../session-change.ts";

interface Flags extends ServerFlags {
  readonly state?: NonNullable<EndOptions["state"]>;
  readonly reason?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly output?: string;
}

const help = `
Ending a session that has ended changes nothing.

Examples:
  sessiond end user-42
  sessiond end run-7 --state failed --error-code tool --error-message "no flights"`;

export function addEnd(program: Command, line: CommandLine): void {
  const command = program
    .command("end")
    .description("end a session; it takes no more events")
    .argument("<session>", "id of the session")
    .addOption(
      new Option("--state <state>", "how it ended (default completed)").choices([
        "completed",
        "failed",
        "cancelled",
        "expired",
      ]),
    )
    .option("--reason <text>", "why, in words")
    .option("--error-code <code>", "what failed, for programs")
    .option("--error-message <text>", "what failed, for people")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) =>
    withServer(line, flags, (server) => end(server, id, flags)),
  );
}

async function end({ host, sessiond, interruption }: Server, id: string, flags: Flags) {
  const { state, reason, errorCode = "", errorMessage = "" } = flags;
  const { signal } = interruption;
  const session = await sessiond.sessions.get(id, { signal });
  const hadEnded = session.message.endTime !== undefined;
  const hasError = errorCode !== "" || errorMessage !== "";
  await session.end({
    state,
    reason,
    signal,
    ...(hasError ? { error: { code: errorCode, message: errorMessage } } : {}),
  });
  const unchanged = hadEnded ? "it had ended before" : undefined;
  printChange(host.stdout, session, { format: flags.output, unchanged });
  return undefined;
}
