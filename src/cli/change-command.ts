import type { Session } from "@sessiond/client";
import type { Command } from "commander";
import type { CommandLine } from "./command-line.ts";
import { outputOption } from "./output-format.ts";
import { addServerOptions, type ServerFlags, withServer } from "./server.ts";
import { printChange } from "./session-change.ts";

interface Flags extends ServerFlags {
  readonly reason?: string;
  readonly output?: string;
}

/** A command that changes the state of one session, for a reason. */
interface ChangeCommand {
  readonly name: string;
  readonly description: string;
  readonly help: string;
  /** Resolves to whether it changed anything. */
  readonly change: (
    session: Session,
    options: { readonly reason: string | undefined; readonly signal: AbortSignal },
  ) => Promise<boolean>;
  /** Why nothing was changed. */
  readonly unchanged: string;
}

export function addChange(program: Command, line: CommandLine, change: ChangeCommand): void {
  const command = program
    .command(change.name)
    .description(change.description)
    .argument("<session>", "id of the session")
    .option("--reason <words>", "why, in words")
    .addOption(outputOption("text"))
    .addHelpText("after", change.help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) =>
    withServer(line, flags, async ({ host, sessiond, interruption: { signal } }) => {
      const { reason, output: format } = flags;
      const session = await sessiond.sessions.get(id, { signal });
      const isChanged = await change.change(session, { reason, signal });
      printChange(host.stdout, session, {
        format,
        unchanged: isChanged ? undefined : change.unchanged,
      });
      return undefined;
    }),
  );
}
