import type { RewindResult, Session } from "@sessiond/client";
import { type Command, Option } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { positive, revision } from "../options.ts";
import { outputOption } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { printChange } from "../session-change.ts";

interface Flags extends ServerFlags {
  readonly to?: number;
  readonly groups?: number;
  readonly all?: true;
  readonly redo?: true;
  readonly requestId?: string;
  readonly output?: string;
}

const help = `
Windows, steps and lists go on as if the log ended there; the log keeps what is hidden, and
"sessiond show ID --replay --speed max" shows it. A tool call and its result are never parted: the cut
is made in front of them. --redo takes back a rewind that is the newest event.

Examples:
  sessiond rewind user-42
  sessiond rewind user-42 --to 12
  sessiond rewind user-42 --redo`;

export function addRewind(program: Command, line: CommandLine): void {
  const command = program
    .command("rewind")
    .description("hide the newest events of a session")
    .argument("<session>", "id of the session")
    .addOption(
      new Option(
        "--groups <number>",
        "messages, or responses with their calls, to hide (default: 1)",
      )
        .argParser(positive)
        .conflicts(["to", "all", "redo"]),
    )
    .addOption(
      new Option("--to <revision>", "newest revision to keep")
        .argParser(revision)
        .conflicts(["all", "redo"]),
    )
    .addOption(new Option("--all", "hide everything that was said").conflicts("redo"))
    .option("--redo", "take the newest rewind back")
    .option("--request-id <id>", "makes the command safe to repeat for 24 hours")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((id: string, flags: Flags) =>
    withServer(line, flags, (server) => rewind(server, id, flags)),
  );
}

async function rewind({ host, sessiond, interruption }: Server, id: string, flags: Flags) {
  const { signal } = interruption;
  const { requestId, output } = flags;
  const session = await sessiond.sessions.get(id, { signal });
  const { revision: made, visibleThrough } = await rewound(session, flags, { requestId, signal });
  await session.refresh({ signal });
  printChange(host.stdout, session, {
    format: output,
    unchanged: made === 0 ? "there was nothing to hide" : undefined,
    note: `visible up to ${visibleThrough}`,
  });
  return undefined;
}

async function rewound(
  session: Session,
  { to, groups = 1, all, redo }: Flags,
  options: Parameters<Session["redo"]>[0],
): Promise<RewindResult> {
  if (all) return session.clear(options);
  if (to !== undefined) return session.rewind({ revision: to }, options);
  if (!redo) return session.rewind({ groups }, options);
  const result = await session.redo(options);
  if (result.revision > 0) return result;
  throw new CommandError(
    exitCodes.refused,
    "the newest event is no rewind; name a revision with --to",
  );
}
